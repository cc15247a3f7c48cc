"""Reading: groups with their latest status, a group's history, and what episodes are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, tuple_

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.body import Body
from recorder.ledger.canonical import JsonObject
from recorder.ledger.encoding import decode_value
from recorder.ledger.entries import Entry, Gap, Interval, Kind, Status, WatchChange
from recorder.ledger.status import Phase, Reading
from recorder.ledger.watch import Watch, WatchState
from recorder.store.labels import groups_with
from recorder.store.rows import anomalies_in, entry_of, gap_of, reading_of, watch_change_of, watch_of
from recorder.store.tables import entries, watches


@dataclass(frozen=True, slots=True)
class StatusItem:
    """A status entry's content: what was said (`value`), as it is reported, and how long it was in sight."""

    value: JsonObject
    reading: Reading
    anomalies: tuple[Anomaly, ...]
    interval: Interval


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a group's history. `at` is the entry's own time."""

    seq: int
    kind: Kind
    at: datetime
    content: StatusItem | Gap | WatchChange
    digest: str


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


_next = entries.alias("next_entry")

_INTERVAL = (
    func.coalesce(_next.c.previous_last_asked_at, watches.c.last_asked_at).label("until_asked_at"),
    func.coalesce(_next.c.previous_last_seen_at, watches.c.last_seen_at).label("until_seen_at"),
    func.coalesce(_next.c.previous_polls, watches.c.polls).label("until_polls"),
)

_UNSHOWN = {"previous_last_asked_at", "previous_last_seen_at", "previous_polls", "rules"}
_after = and_(_next.c.taskgroup_id == entries.c.taskgroup_id, _next.c.seq == entries.c.seq + 1)
_head = and_(watches.c.taskgroup_id == entries.c.taskgroup_id, watches.c.head_seq == entries.c.seq)
_ITEMS: Select[Any] = select(
    *(column for column in entries.c if column.name not in _UNSHOWN), *_INTERVAL
).select_from(entries.outerjoin(_next, _after).outerjoin(watches, _head))
"""Entries with what ends the interval of each: the entry after it, or the watch row."""


def find_group(connection: Connection, taskgroup_id: str) -> GroupItem | None:
    """Return a group, None if it was never watched."""
    row = connection.execute(select(watches).where(watches.c.taskgroup_id == taskgroup_id)).one_or_none()
    return None if row is None else _group_items(connection, [row])[0]


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
    statement = _ITEMS.where(entries.c.taskgroup_id == taskgroup_id).where(*_conditions(query)).limit(limit)
    order = entries.c.seq.desc() if query.descending else entries.c.seq
    return [_item(row) for row in connection.execute(statement.order_by(order))]


def find_body(connection: Connection, taskgroup_id: str, seq: int) -> Body:
    """Return the body of a status entry that there is, as it was said."""
    found = select(entries).where(entries.c.taskgroup_id == taskgroup_id, entries.c.seq == seq)
    content = entry_of(connection.execute(found).one()).content
    if not isinstance(content, Status):
        raise LookupError(f"entry {seq} of {taskgroup_id!r} is no status")
    return content.body


def find_entries(connection: Connection, taskgroup_id: str, seqs: Collection[int]) -> dict[int, Item]:
    """Return those entries of a group that have one of the numbers `seqs`, by their numbers."""
    statement = _ITEMS.where(entries.c.taskgroup_id == taskgroup_id, entries.c.seq.in_(seqs))
    return {row.seq: _item(row) for row in connection.execute(statement)}


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


def _conditions(query: HistoryQuery) -> Iterator[ColumnElement[bool]]:
    """An entry's time is [its start, the next entry's start); an entry of no length is a moment."""
    start = func.coalesce(entries.c.gap_from, entries.c.at)
    if query.until is not None:
        yield start < query.until
    if query.since is not None:
        end = func.coalesce(_next.c.gap_from, _next.c.at)
        yield or_(start >= query.since, end.is_(None), end > query.since)
    if query.kinds is not None:
        yield entries.c.kind.in_([kind.value for kind in query.kinds])
    if query.anomalies is not None:
        # The column is a list of names as JSON text, and no name is a part of another.
        yield or_(*(entries.c.anomalies.contains(f'"{name}"', autoescape=True) for name in query.anomalies))
    if query.after_seq is not None:
        yield entries.c.seq < query.after_seq if query.descending else entries.c.seq > query.after_seq


def _item(row: Row[Any]) -> Item:
    return Item(row.seq, Kind(row.kind), row.at, _content(row), row.digest)


def _content(row: Row[Any]) -> StatusItem | Gap | WatchChange:
    if row.kind == Kind.GAP:
        return gap_of(row)
    if row.kind == Kind.WATCH:
        return watch_change_of(row)
    reading = reading_of(row)
    return StatusItem(
        decode_value(row.taskgroup_id, reading, row.extra),
        reading,
        anomalies_in(row),
        Interval(row.until_asked_at, row.until_seen_at, row.until_polls),
    )


def _group_items(connection: Connection, rows: Collection[Row[Any]]) -> list[GroupItem]:
    newest = [(row.taskgroup_id, row.status_seq) for row in rows if row.status_seq is not None]
    found = {}
    if newest:
        keys = tuple_(entries.c.taskgroup_id, entries.c.seq).in_(newest)
        found = {row.taskgroup_id: _item(row) for row in connection.execute(_ITEMS.where(keys))}
    return [GroupItem(watch_of(row), row.interval_seconds, found.get(row.taskgroup_id)) for row in rows]
