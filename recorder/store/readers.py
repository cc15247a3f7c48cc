"""Reading: groups with their latest status, a group's history, and what episodes are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    tuple_,
)

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.body import Body
from recorder.ledger.entries import Entry, Kind, Status
from recorder.ledger.status import Phase
from recorder.ledger.watch import Watch, WatchState
from recorder.store.items import ITEMS, Item, item_of, next_entry
from recorder.store.labels import groups_with
from recorder.store.rows import anomalies_in, entry_of, watch_of
from recorder.store.tables import entries, watches


@dataclass(frozen=True, slots=True)
class GroupItem:
    """A group: its watch, and its newest status entry, None if it was never seen."""

    watch: Watch
    interval_seconds: float | None
    latest: Item | None


@dataclass(frozen=True, slots=True)
class GroupsQuery:
    """Which groups: in one of `phases`, with a watch in one of `states` (None: all); with a gap that is open
    at `late_at`; with each of `labels` (key, text of the value) in their metadata; created in
    [`created_from`, `created_to`); with an entry of the time `changed_from` or a later one."""

    phases: Collection[Phase] | None = None
    states: Collection[WatchState] | None = None
    late_at: datetime | None = None
    labels: tuple[tuple[str, str], ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    changed_from: datetime | None = None


ALL_GROUPS = GroupsQuery()


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which entries of a group's history: those whose time meets [`since`, `until`), of `kinds` (None: all),
    with one of `anomalies` (None: with or without), after the entry `after_seq` in the order asked for."""

    since: datetime | None = None
    until: datetime | None = None
    kinds: Collection[Kind] | None = None
    anomalies: Collection[Anomaly] | None = None
    descending: bool = False
    after_seq: int | None = None


_WATCH = select(watches).where(watches.c.taskgroup_id == bindparam("taskgroup_id"))
_ITEM = ITEMS.where(entries.c.taskgroup_id == bindparam("taskgroup_id"), entries.c.seq == bindparam("seq"))


def find_group(connection: Connection, taskgroup_id: str) -> GroupItem | None:
    """Return a group, None if it was never watched."""
    row = connection.execute(_WATCH, {"taskgroup_id": taskgroup_id}).one_or_none()
    if row is None:
        return None
    newest = {"taskgroup_id": taskgroup_id, "seq": row.status_seq}
    latest = None if row.status_seq is None else connection.execute(_ITEM, newest).mappings().one_or_none()
    item = None if latest is None else item_of(latest)
    return GroupItem(watch_of(row), row.interval_seconds, item)


def list_groups(
    connection: Connection,
    query: GroupsQuery = ALL_GROUPS,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> list[GroupItem]:
    """Return groups, the newest enrolment first, then by id.

    `after` is the (`enrolled_at`, id) of the group that the page before ended with.
    """
    statement = select(watches).where(*_group_conditions(query))
    if after is not None:
        enrolled_at, taskgroup_id = after
        same = and_(watches.c.enrolled_at == enrolled_at, watches.c.taskgroup_id > taskgroup_id)
        statement = statement.where(or_(watches.c.enrolled_at < enrolled_at, same))
    order = (watches.c.enrolled_at.desc(), watches.c.taskgroup_id)
    return _group_items(connection, connection.execute(statement.order_by(*order).limit(limit)).all())


def count_groups(connection: Connection, query: GroupsQuery, *, most: int) -> int:
    """Return how many groups there are, `most` if there are more."""
    found = select(watches.c.taskgroup_id).where(*_group_conditions(query)).limit(most)
    return connection.scalar(select(func.count()).select_from(found.subquery())) or 0


def history(connection: Connection, taskgroup_id: str, query: HistoryQuery, limit: int) -> list[Item]:
    """Return up to `limit` entries of a group's history."""
    sought = {"taskgroup_id": taskgroup_id, "limit": limit}
    sought |= {"since": query.since, "until": query.until, "after_seq": query.after_seq}
    statement = _history_statement(
        since=query.since is not None,
        until=query.until is not None,
        kinds=None if query.kinds is None else frozenset(query.kinds),
        anomalies=None if query.anomalies is None else frozenset(query.anomalies),
        descending=query.descending,
        after=query.after_seq is not None,
    )
    return list(map(item_of, connection.execute(statement, sought).mappings()))


def find_body(connection: Connection, taskgroup_id: str, seq: int) -> Body:
    """Return the body of a status entry that there is, as it was said."""
    found = select(entries).where(entries.c.taskgroup_id == taskgroup_id, entries.c.seq == seq)
    content = entry_of(connection.execute(found).one()).content
    if not isinstance(content, Status):
        raise LookupError(f"entry {seq} of {taskgroup_id!r} is no status")
    return content.body


def find_entries(connection: Connection, taskgroup_id: str, seqs: Collection[int]) -> dict[int, Item]:
    """Return those entries of a group that have one of the numbers `seqs`, by their numbers."""
    statement = ITEMS.where(entries.c.taskgroup_id == taskgroup_id, entries.c.seq.in_(seqs))
    return {row["seq"]: item_of(row) for row in connection.execute(statement).mappings()}


def statuses_before(connection: Connection, taskgroup_id: str, seqs: Collection[int]) -> dict[int, int]:
    """Return for each of the entries `seqs` the number of the newest status entry before it, if any."""
    before = entries.alias("before")
    newest = (
        select(before.c.seq)
        .where(
            before.c.taskgroup_id == entries.c.taskgroup_id,
            before.c.seq < entries.c.seq,
            before.c.kind == Kind.STATUS.value,
        )
        .order_by(before.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = select(entries.c.seq, newest.label("status_seq"))
    statement = statement.where(entries.c.taskgroup_id == taskgroup_id, entries.c.seq.in_(seqs))
    return {row.seq: row.status_seq for row in connection.execute(statement) if row.status_seq is not None}


def read_entries(connection: Connection, taskgroup_id: str) -> Iterator[Entry]:
    """Yield a group's whole ledger in order, bodies rebuilt as they were said."""
    statement = select(entries).where(entries.c.taskgroup_id == taskgroup_id).order_by(entries.c.seq)
    for row in connection.execute(statement.execution_options(yield_per=500)):
        yield entry_of(row)


def read_sums(connection: Connection) -> tuple[int, int, int]:
    """Return how many groups there are, and the sums of their `seq` and of their open intervals' polls."""
    sums = select(func.count(), func.sum(watches.c.head_seq), func.sum(watches.c.polls))
    groups, entries_in_all, polls = connection.execute(sums).one()
    return groups, entries_in_all or 0, polls or 0


def count_entries(connection: Connection) -> int:
    """Return how many entries all ledgers hold together."""
    return int(connection.scalar(select(func.coalesce(func.sum(watches.c.head_seq), 0))) or 0)


def count_gaps(connection: Connection) -> dict[str, int]:
    """Return how many closed gaps each group has; groups without one are left out."""
    statement = select(entries.c.taskgroup_id, func.count()).where(entries.c.kind == Kind.GAP.value)
    return dict(connection.execute(statement.group_by(entries.c.taskgroup_id)).tuples().all())


def count_gaps_of(connection: Connection, taskgroup_id: str) -> int:
    """Return how many closed gaps a group has."""
    statement = select(func.count()).where(entries.c.kind == Kind.GAP.value)
    return connection.scalar(statement.where(entries.c.taskgroup_id == taskgroup_id)) or 0


@dataclass(frozen=True, slots=True)
class Trail:
    """What an auditor asks first: how many entries a ledger has, the times of the first and the last, and how
    many of them have which anomaly."""

    entries: int
    first_at: datetime
    last_at: datetime
    anomalies: dict[Anomaly, int]


def read_trail(connection: Connection, taskgroup_id: str) -> Trail:
    """Return the audit trail of a group that has one."""
    mine = entries.c.taskgroup_id == taskgroup_id
    count, newest = connection.execute(select(func.count(), func.max(entries.c.seq)).where(mine)).one()
    at = select(entries.c.at).where(mine)
    odd = select(entries.c.anomalies, func.count().label("entries")).where(mine, entries.c.anomalies != "[]")
    found: Counter[Anomaly] = Counter()
    for row in connection.execute(odd.group_by(entries.c.anomalies)):
        for anomaly in anomalies_in(row):
            found[anomaly] += row.entries
    return Trail(
        count,
        connection.execute(at.where(entries.c.seq == 1)).scalar_one(),
        connection.execute(at.where(entries.c.seq == newest)).scalar_one(),
        {anomaly: found[anomaly] for anomaly in Anomaly if found[anomaly]},
    )


def _group_conditions(query: GroupsQuery) -> Iterator[ColumnElement[bool]]:
    if query.phases is not None:
        yield watches.c.phase.in_([phase.value for phase in query.phases])
    if query.states is not None:
        yield watches.c.state.in_([state.value for state in query.states])
    if query.late_at is not None:
        yield watches.c.gap_at < query.late_at
    for key, text in query.labels:
        yield watches.c.taskgroup_id.in_(groups_with(key, text))
    newest = and_(entries.c.taskgroup_id == watches.c.taskgroup_id, entries.c.seq == watches.c.status_seq)
    created_at = select(entries.c.created_at).where(newest).scalar_subquery()
    if query.created_from is not None:
        yield created_at >= query.created_from
    if query.created_to is not None:
        yield created_at < query.created_to
    if query.changed_from is not None:
        yield watches.c.head_at >= query.changed_from


@lru_cache(maxsize=256)
def _history_statement(
    *,
    since: bool,
    until: bool,
    kinds: frozenset[Kind] | None,
    anomalies: frozenset[Anomaly] | None,
    descending: bool,
    after: bool,
) -> Select[Any]:
    """Entries of a group by a HistoryQuery with these members; made once, since that takes as long as asking.

    An entry's time is [its start, the next entry's start); an entry of no length is a moment.
    """
    statement = ITEMS.where(entries.c.taskgroup_id == bindparam("taskgroup_id"))
    start = func.coalesce(entries.c.gap_from, entries.c.at, type_=entries.c.at.type)
    if until:
        statement = statement.where(start < bindparam("until"))
    if since:
        end = func.coalesce(next_entry.c.gap_from, next_entry.c.at, type_=entries.c.at.type)
        from_then_on = or_(start >= bindparam("since"), end.is_(None), end > bindparam("since"))
        statement = statement.where(from_then_on)
    if kinds is not None:
        statement = statement.where(entries.c.kind.in_([kind.value for kind in kinds]))
    if anomalies is not None:
        # The column is a list of names as JSON text, and no name is a part of another.
        named = (entries.c.anomalies.contains(f'"{name}"', autoescape=True) for name in anomalies)
        statement = statement.where(or_(*named))
    seq = entries.c.seq
    if after:
        last: ColumnElement[int] = bindparam("after_seq")
        statement = statement.where(seq < last if descending else seq > last)
    return statement.order_by(seq.desc() if descending else seq).limit(bindparam("limit"))


def _group_items(connection: Connection, rows: Collection[Row[Any]]) -> list[GroupItem]:
    newest = [(row.taskgroup_id, row.status_seq) for row in rows if row.status_seq is not None]
    found = {}
    if newest:
        keys = tuple_(entries.c.taskgroup_id, entries.c.seq).in_(newest)
        lines = connection.execute(ITEMS.where(keys)).mappings()
        found = {line["taskgroup_id"]: item_of(line) for line in lines}
    return [GroupItem(watch_of(row), row.interval_seconds, found.get(row.taskgroup_id)) for row in rows]
