"""Read groups, each with its latest status."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
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
)

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import Watch, WatchState
from recorder.store.archive_tables import tombstones
from recorder.store.derived import groups_with
from recorder.store.dialects.functions import digest_of_rows
from recorder.store.given_keys import rows_with
from recorder.store.group_order import (
    GroupOrder,
    GroupPosition,
    conditions_after,
    order_clauses,
    time_in_order,
)
from recorder.store.history import ITEMS, Item, item_of
from recorder.store.mapping import watch_of
from recorder.store.tables import entries, group_labels, watches
from recorder.store.underived import require_derived


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
    in [`created_from`, `created_to`), with an entry at or after `changed_from`, and with `text` in the id or
    in a value of the metadata, whatever its case; without `stopped_unseen`, none that was stopped and never
    seen; and with all `conditions` true of its row in `watches`."""

    phases: Collection[Phase] | None = None
    states: Collection[WatchState] | None = None
    late_at: datetime | None = None
    labels: tuple[tuple[str, str], ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    changed_from: datetime | None = None
    text: str | None = None
    stopped_unseen: bool = True
    conditions: tuple[ColumnElement[bool], ...] = ()


ALL_GROUPS = GroupFilter()

EnrolmentPosition = tuple[datetime, str]
"""The place of a group in the order of enrolment: its `enrolled_at` and its id."""

_MOST_IDS = 500
"""How many ids a statement may name."""

_ENROLMENT = (watches.c.enrolled_at.desc(), watches.c.taskgroup_id)

_DIGITS = 20
"""How many digits of a digest tell ledgers apart."""

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


def find_groups(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, GroupItem]:
    """Return the groups with these ids, without those that were never watched."""
    rows = _rows_of(connection, select(watches), taskgroup_ids)
    parts = (rows[start : start + _MOST_IDS] for start in range(0, len(rows), _MOST_IDS))
    return {item.watch.taskgroup_id: item for part in parts for item in _group_items(connection, part)}


def states_of(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, WatchState]:
    """Return the states of the watches of groups, without those that were never watched."""
    rows = _rows_of(connection, select(watches.c.taskgroup_id, watches.c.state), taskgroup_ids)
    return {row.taskgroup_id: WatchState(row.state) for row in rows}


def _rows_of(connection: Connection, rows: Select[Any], taskgroup_ids: Collection[str]) -> list[Row[Any]]:
    ids = list(taskgroup_ids)
    parts = (ids[start : start + _MOST_IDS] for start in range(0, len(ids), _MOST_IDS))
    id_ = watches.c.taskgroup_id
    return [row for part in parts for row in connection.execute(rows.where(id_.in_(part)))]


def list_groups(
    connection: Connection,
    query: GroupFilter = ALL_GROUPS,
    *,
    limit: int,
    after: EnrolmentPosition | None = None,
) -> list[GroupItem]:
    """Return groups in the order of enrolment, the newest first, then by id.

    `after` is the position of the last group on the previous page.
    """
    statement = (
        select(watches).where(*_group_conditions(connection, query)).order_by(*_ENROLMENT).limit(limit)
    )
    return _group_items(connection, connection.execute(statement.where(*_after(after))).all())


def list_ordered(
    connection: Connection,
    query: GroupFilter,
    order: GroupOrder,
    *,
    limit: int,
    after: GroupPosition | None = None,
) -> tuple[list[GroupItem], GroupPosition | None]:
    """Return up to `limit` groups in an order, and the position of the last one if others follow it."""
    statement = select(watches, time_in_order(order).label("placed_at")).where(
        *_group_conditions(connection, query)
    )
    statement = statement.where(*conditions_after(order, after)).order_by(*order_clauses(order))
    rows = connection.execute(statement.limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    position = None if last is None else (last.placed_at, last.taskgroup_id)
    return _group_items(connection, rows[:limit]), position


def list_ids(
    connection: Connection, query: GroupFilter, *, limit: int, after: EnrolmentPosition | None = None
) -> list[EnrolmentPosition]:
    """Return the (`enrolled_at`, id) of the groups that `list_groups` would return."""
    statement = select(watches.c.enrolled_at, watches.c.taskgroup_id).where(
        *_group_conditions(connection, query)
    )
    found = connection.execute(statement.where(*_after(after)).order_by(*_ENROLMENT).limit(limit))
    return [(row.enrolled_at, row.taskgroup_id) for row in found]


def count_groups(connection: Connection, query: GroupFilter, *, most: int | None = None) -> int:
    """Return the number of groups, at most `most`."""
    found = select(watches.c.taskgroup_id).where(*_group_conditions(connection, query)).limit(most)
    return connection.scalar(select(func.count()).select_from(found.subquery())) or 0


def digest_of_ledgers(connection: Connection) -> str:
    """Return a text that differs whenever an entry or an open interval of any group does, or what is left of
    an archived group."""
    heads = (func.substr(watches.c.head_digest, 1, _DIGITS), watches.c.last_seen_at, watches.c.polls)
    archived = (func.substr(tombstones.c.digest, 1, _DIGITS),)
    digests = [connection.scalar(select(digest_of_rows(*columns))) for columns in (heads, archived)]
    return sha256(repr(digests).encode()).hexdigest()


def count_entries(connection: Connection) -> int:
    """Return the number of entries in all ledgers."""
    return int(connection.scalar(select(func.coalesce(func.sum(watches.c.head_seq), 0))) or 0)


def _after(position: EnrolmentPosition | None) -> Iterator[ColumnElement[bool]]:
    if position is None:
        return
    enrolled_at, taskgroup_id = position
    # This alone lets the index begin where the previous page ended; the rest only sorts out equal times.
    yield watches.c.enrolled_at <= enrolled_at
    yield or_(watches.c.enrolled_at < enrolled_at, watches.c.taskgroup_id > taskgroup_id)


def _group_conditions(connection: Connection, query: GroupFilter) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of a filter.

    Raises:
        UnderivedError: the filter reads metadata, and that of some groups is being derived anew.
    """
    if query.labels or query.text is not None:
        require_derived(connection)
    if query.phases is not None:
        yield watches.c.phase.in_([phase.value for phase in query.phases])
    if query.states is not None:
        yield watches.c.state.in_([state.value for state in query.states])
    if query.late_at is not None:
        yield watches.c.gap_at < query.late_at
    if not query.stopped_unseen:
        yield or_(watches.c.state != WatchState.STOPPED.value, watches.c.status_seq.is_not(None))
    yield from query.conditions
    for key, text in query.labels:
        yield watches.c.taskgroup_id.in_(groups_with(key, text))
    if query.text is not None:
        labelled = select(group_labels.c.taskgroup_id).where(_contains(group_labels.c.text, query.text))
        yield or_(_contains(watches.c.taskgroup_id, query.text), watches.c.taskgroup_id.in_(labelled))
    newest = and_(entries.c.taskgroup_id == watches.c.taskgroup_id, entries.c.seq == watches.c.status_seq)
    created_at = select(entries.c.created_at).where(newest).scalar_subquery()
    if query.created_from is not None:
        yield created_at >= query.created_from
    if query.created_to is not None:
        yield created_at < query.created_to
    if query.changed_from is not None:
        yield watches.c.head_at >= query.changed_from


def _contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return column.icontains(text, autoescape=True)


def _group_items(connection: Connection, rows: Collection[Row[Any]]) -> list[GroupItem]:
    newest = [(row.taskgroup_id, row.status_seq) for row in rows if row.status_seq is not None]
    found = {}
    if newest:
        keys = entries.c.taskgroup_id, entries.c.seq
        lines = rows_with(connection, ITEMS, keys, newest).mappings().all()
        found = {line["taskgroup_id"]: item_of(line) for line in lines}
    return [GroupItem(watch_of(row), row.interval_seconds, found.get(row.taskgroup_id)) for row in rows]
