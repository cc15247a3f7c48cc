"""Read groups, each with its latest status, and counts across all groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    tuple_,
    update,
)

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import Watch, WatchState
from recorder.store.derived import groups_with
from recorder.store.history import ITEMS, Item, item_of
from recorder.store.mapping import watch_of
from recorder.store.tables import entries, watches


@dataclass(frozen=True, slots=True)
class WatchRow:
    """A group's watch, and how long it waits from one poll to the next (None: not planned yet)."""

    watch: Watch
    interval_seconds: float | None


@dataclass(frozen=True, slots=True)
class GroupItem(WatchRow):
    """A group: its watch and its newest status entry (None if it was never seen)."""

    latest: Item | None


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups to select: in one of `phases`, with a watch in one of `states` (None: any), with a gap
    that is open at `late_at`, with every one of `labels` (key, text of the value) in their metadata, created
    in [`created_from`, `created_to`), and with an entry at or after `changed_from`."""

    phases: Collection[Phase] | None = None
    states: Collection[WatchState] | None = None
    late_at: datetime | None = None
    labels: tuple[tuple[str, str], ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    changed_from: datetime | None = None


ALL_GROUPS = GroupFilter()

_WATCH = select(watches).where(watches.c.taskgroup_id == bindparam("taskgroup_id"))
_ITEM = ITEMS.where(entries.c.taskgroup_id == bindparam("taskgroup_id"), entries.c.seq == bindparam("seq"))


def find_watch(connection: Connection, taskgroup_id: str) -> WatchRow | None:
    """Return a group's watch alone, None if it was never watched."""
    row = connection.execute(_WATCH, {"taskgroup_id": taskgroup_id}).one_or_none()
    return None if row is None else WatchRow(watch_of(row), row.interval_seconds)


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
    query: GroupFilter = ALL_GROUPS,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> list[GroupItem]:
    """Return groups in the order of enrolment, the newest first, then by id.

    `after` is the (`enrolled_at`, id) of the last group on the previous page.
    """
    statement = select(watches).where(*_group_conditions(query))
    if after is not None:
        enrolled_at, taskgroup_id = after
        same = and_(watches.c.enrolled_at == enrolled_at, watches.c.taskgroup_id > taskgroup_id)
        statement = statement.where(or_(watches.c.enrolled_at < enrolled_at, same))
    order = (watches.c.enrolled_at.desc(), watches.c.taskgroup_id)
    return _group_items(connection, connection.execute(statement.order_by(*order).limit(limit)).all())


def count_groups(connection: Connection, query: GroupFilter, *, most: int) -> int:
    """Return the number of groups, at most `most`."""
    found = select(watches.c.taskgroup_id).where(*_group_conditions(query)).limit(most)
    return connection.scalar(select(func.count()).select_from(found.subquery())) or 0


def read_sums(connection: Connection) -> tuple[int, int, int]:
    """Return the number of groups, and the sums of their `seq` and of the polls in their open intervals."""
    sums = select(func.count(), func.sum(watches.c.head_seq), func.sum(watches.c.polls))
    groups, entries_in_all, polls = connection.execute(sums).one()
    return groups, entries_in_all or 0, polls or 0


def count_entries(connection: Connection) -> int:
    """Return the number of entries in all ledgers."""
    return int(connection.scalar(select(func.coalesce(func.sum(watches.c.head_seq), 0))) or 0)


def _group_conditions(query: GroupFilter) -> Iterator[ColumnElement[bool]]:
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


def _group_items(connection: Connection, rows: Collection[Row[Any]]) -> list[GroupItem]:
    newest = [(row.taskgroup_id, row.status_seq) for row in rows if row.status_seq is not None]
    found = {}
    if newest:
        keys = tuple_(entries.c.taskgroup_id, entries.c.seq).in_(newest)
        lines = connection.execute(ITEMS.where(keys)).mappings()
        found = {line["taskgroup_id"]: item_of(line) for line in lines}
    return [GroupItem(watch_of(row), row.interval_seconds, found.get(row.taskgroup_id)) for row in rows]


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """Counts across all groups: of groups by phase (None: never seen) and by state of the watch, of open
    gaps, of polls that are due, and of entries. `late_seconds` is how overdue the most overdue poll is."""

    phases: Mapping[Phase | None, int]
    states: Mapping[WatchState, int]
    open_gaps: int
    due: int
    late_seconds: float
    entries: int


def read_group_counts(connection: Connection, now: datetime) -> GroupCounts:
    """Return the counts across all groups at `now`."""
    phases: Counter[Phase | None] = Counter()
    states: Counter[WatchState] = Counter()
    grouped = select(watches.c.phase, watches.c.state, func.count().label("groups"))
    for row in connection.execute(grouped.group_by(watches.c.phase, watches.c.state)):
        phases[None if row.phase is None else Phase(row.phase)] += row.groups
        states[WatchState(row.state)] += row.groups
    waiting = watches.c.owner.is_(None), watches.c.next_poll_at <= now
    longest = func.min(watches.c.next_poll_at, type_=watches.c.next_poll_at.type)
    due, since = connection.execute(select(func.count(), longest).where(*waiting)).one()
    gaps = select(func.count()).where(watches.c.gap_at < now)
    return GroupCounts(
        phases=phases,
        states=states,
        open_gaps=connection.scalar(gaps) or 0,
        due=due,
        late_seconds=0.0 if since is None else max(0.0, (now - since).total_seconds()),
        entries=count_entries(connection),
    )


INTERVAL_MARGIN = 1.5
"""A poll that is planned for more than this many intervals ahead was planned by another clock."""
MANY_POLLS = 50
"""After this many equal responses in a row, a group's poll interval does not grow any more."""


def workload(connection: Connection) -> list[tuple[Phase | None, int, int]]:
    """Count the watched groups by phase and by equal responses in a row (at most MANY_POLLS).

    Items are (phase, responses, groups); the phase is None for groups that were never seen.
    """
    polls = func.coalesce(case((watches.c.polls > MANY_POLLS, MANY_POLLS), else_=watches.c.polls), 0)
    statement = (
        select(watches.c.phase, polls, func.count())
        .where(watches.c.state == WatchState.WATCHING.value)
        .group_by(watches.c.phase, polls)
    )
    return [(phase and Phase(phase), polls, count) for phase, polls, count in connection.execute(statement)]


def last_response_at(connection: Connection) -> datetime | None:
    """Return when a group was last seen, of those whose newest entry is a status; None if there is none."""
    found: datetime | None = connection.scalar(select(func.max(watches.c.last_seen_at)))
    return found


def make_due(
    connection: Connection,
    now: datetime,
    *,
    longest: timedelta,
    longest_retry: timedelta,
    alive: Collection[str],
) -> int:
    """Make groups due at `now` whose next poll is planned too far ahead; return how many there were.

    No poll is planned for later than `longest` from now, or for much later than its group's own interval, or,
    after a failure, for later than `longest_retry`. Only a clock that was set makes such plans. Claims are
    ignored if their owner is not one of the recorders that are `alive`. Rows that another session has locked
    are skipped.
    """
    usual, retry = now + longest, now + max(longest, longest_retry)
    owner = watches.c.owner
    far = (
        select(watches.c.taskgroup_id, watches.c.next_poll_at, watches.c.interval_seconds, watches.c.failures)
        .where(watches.c.next_poll_at > usual, or_(owner.is_(None), owner.not_in(alive)))
        .with_for_update(skip_locked=True)
    )
    ids = [
        row.taskgroup_id
        for row in connection.execute(far)
        if row.next_poll_at
        > max(
            usual if row.failures is None else retry,
            now + timedelta(seconds=INTERVAL_MARGIN * (row.interval_seconds or 0)),
        )
    ]
    if ids:
        due = {"next_poll_at": now, "owner": None, "lease_until": None}
        connection.execute(update(watches).where(watches.c.taskgroup_id.in_(ids)).values(due))
    return len(ids)
