"""Read a group's history, as entries and as items for display."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
)

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.body_columns import decode_value
from recorder.ledger.canonical import JsonObject
from recorder.ledger.entries import REMARKS, Entry, Gap, Interval, Kind, StatusContent, WatchChange
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import Phase, StatusFields
from recorder.ledger.timestamps import parse_time
from recorder.store.dialects.functions import time_text
from recorder.store.mapping import anomalies_in, entry_of, gap_of, status_fields_of, watch_change_of
from recorder.store.tables import Time, entries, watches


@dataclass(frozen=True, slots=True)
class StatusItem:
    """A status: the response body (`value`), its fields and anomalies, and the interval it was seen in."""

    value: JsonObject
    fields: StatusFields
    anomalies: tuple[Anomaly, ...]
    interval: Interval


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a group's history: its columns, with times as text; `until_…` are the columns that end the
    interval of a status."""

    columns: Mapping[str, Any]

    @property
    def seq(self) -> int:
        return cast(int, self.columns["seq"])

    @property
    def kind(self) -> Kind:
        return Kind(self.columns["kind"])

    @property
    def phase(self) -> Phase | None:
        """The phase of a status, None for other entries."""
        phase = self.columns["phase"]
        return None if phase is None else Phase(phase)

    @property
    def at(self) -> datetime:
        """The entry's own time."""
        return parse_time(self.columns["at"])

    @property
    def start(self) -> datetime:
        """When the line starts to apply: a gap at its beginning, other entries at `at`."""
        return parse_time(self.columns["gap_from"] or self.columns["at"])

    @property
    def last_seen_at(self) -> datetime:
        """When a status was last seen."""
        return parse_time(self.columns["until_seen_at"])

    @property
    def digest(self) -> str:
        return cast(str, self.columns["digest"])

    @property
    def content(self) -> StatusItem | Gap | WatchChange:
        """The content in the ledger's own types."""
        row = cast(Any, self._typed())
        if self.kind is Kind.GAP:
            return gap_of(row)
        if self.kind is Kind.WATCH:
            return watch_change_of(row)
        fields = status_fields_of(row)
        value = decode_value(row.taskgroup_id, fields, row.extra)
        interval = Interval(row.until_asked_at, row.until_seen_at, row.until_polls)
        return StatusItem(value, fields, anomalies_in(row), interval)

    def value(self) -> JsonObject:
        """The response body of a status."""
        row = cast(Any, self._typed())
        return decode_value(row.taskgroup_id, status_fields_of(row), row.extra)

    def _typed(self) -> SimpleNamespace:
        times = {name: parse_time(self.columns[name]) for name in _TIMES if self.columns[name] is not None}
        return SimpleNamespace(**{**self.columns, **times})


_HIDDEN = {"previous_last_asked_at", "previous_last_seen_at", "previous_polls", "rules"}
_SHOWN = tuple(column for column in entries.c if column.name not in _HIDDEN)
_UNTIL = ("until_asked_at", "until_seen_at")
_TIMES = (*(column.name for column in _SHOWN if isinstance(column.type, Time)), *_UNTIL)

next_entry = entries.alias("next_entry")
_after = and_(next_entry.c.taskgroup_id == entries.c.taskgroup_id, next_entry.c.seq == entries.c.seq + 1)
_head = and_(watches.c.taskgroup_id == entries.c.taskgroup_id, watches.c.head_seq == entries.c.seq)


def _shown(column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    return (time_text(column) if isinstance(column.type, Time) else column).label(name)


ITEMS: Select[Any] = select(
    *(_shown(column, column.name) for column in _SHOWN),
    _shown(func.coalesce(next_entry.c.previous_last_asked_at, watches.c.last_asked_at), "until_asked_at"),
    _shown(func.coalesce(next_entry.c.previous_last_seen_at, watches.c.last_seen_at), "until_seen_at"),
    func.coalesce(next_entry.c.previous_polls, watches.c.polls).label("until_polls"),
).select_from(entries.outerjoin(next_entry, _after).outerjoin(watches, _head))
"""Entries with the end of their intervals, from the following entry or from the watch row."""


def item_of(row: RowMapping) -> Item:
    """Read a row of `ITEMS`."""
    return Item(cast(Mapping[str, Any], row))


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which entries of a group's history to select: those whose time overlaps [`since`, `until`), of `kinds`
    (None: all), with one of `anomalies` (None: with or without), after the entry `after_seq` in the order
    that `descending` gives."""

    since: datetime | None = None
    until: datetime | None = None
    kinds: Collection[Kind] | None = None
    anomalies: Collection[Anomaly] | None = None
    descending: bool = False
    after_seq: int | None = None


def read_history(connection: Connection, taskgroup_id: str, query: HistoryFilter, limit: int) -> list[Item]:
    """Return up to `limit` entries of a group's history."""
    statement, parameters = _asked(taskgroup_id, query)
    return list(map(item_of, connection.execute(statement, {**parameters, "limit": limit}).mappings()))


def count_history(connection: Connection, taskgroup_id: str, query: HistoryFilter) -> int:
    """Return how many entries of a group's history there are."""
    statement, parameters = _asked(taskgroup_id, query)
    found = statement.with_only_columns(entries.c.seq).order_by(None).limit(None).subquery()
    return connection.scalar(select(func.count()).select_from(found), parameters) or 0


def _asked(taskgroup_id: str, query: HistoryFilter) -> tuple[Select[Any], dict[str, Any]]:
    times = {"since": query.since, "until": query.until}
    parameters = {"taskgroup_id": taskgroup_id, **times, "after_seq": query.after_seq}
    statement = _history_statement(
        since=query.since is not None,
        until=query.until is not None,
        kinds=None if query.kinds is None else frozenset(query.kinds),
        anomalies=None if query.anomalies is None else frozenset(query.anomalies),
        descending=query.descending,
        after=query.after_seq is not None,
    )
    return statement, parameters


def find_body(connection: Connection, taskgroup_id: str, seq: int) -> ResponseBody:
    """Return the response body of an existing status entry.

    Raises:
        LookupError: the entry is not a status.
    """
    found = select(entries).where(entries.c.taskgroup_id == taskgroup_id, entries.c.seq == seq)
    content = entry_of(connection.execute(found).one()).content
    if not isinstance(content, StatusContent):
        raise LookupError(f"entry {seq} of {taskgroup_id!r} is not a status")
    return content.body


def find_entries(connection: Connection, taskgroup_id: str, seqs: Collection[int]) -> dict[int, Item]:
    """Return the entries of a group with the numbers `seqs`, by number."""
    statement = ITEMS.where(entries.c.taskgroup_id == taskgroup_id, entries.c.seq.in_(seqs))
    return {row["seq"]: item_of(row) for row in connection.execute(statement).mappings()}


def newest_changes(connection: Connection, taskgroup_id: str, limit: int) -> list[Item]:
    """Return the newest changes of a group's watch, newest first, without remarks."""
    mine = entries.c.taskgroup_id == taskgroup_id
    changes = ITEMS.where(mine, entries.c.watch_action.not_in(sorted(REMARKS)))
    rows = connection.execute(changes.order_by(entries.c.seq.desc()).limit(limit))
    return list(map(item_of, rows.mappings()))


def statuses_before(connection: Connection, taskgroup_id: str, seqs: Collection[int]) -> dict[int, int]:
    """Return the number of the newest status entry before each of the entries `seqs`, if there is one."""
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
    """Yield a group's whole ledger in order, with the exact response bodies."""
    return read_entries_of(connection, [taskgroup_id])


def read_entries_of(connection: Connection, taskgroup_ids: Sequence[str]) -> Iterator[Entry]:
    """Yield the whole ledgers of groups, one after the other, each in order."""
    statement = select(entries).where(entries.c.taskgroup_id.in_(taskgroup_ids))
    statement = statement.order_by(entries.c.taskgroup_id, entries.c.seq)
    for row in connection.execute(statement.execution_options(yield_per=500)):
        yield entry_of(row)


def count_gaps(connection: Connection) -> dict[str, int]:
    """Return the number of closed gaps of each group that has any."""
    statement = select(entries.c.taskgroup_id, func.count()).where(entries.c.kind == Kind.GAP.value)
    found = connection.execute(statement.group_by(entries.c.taskgroup_id))
    return {row[0]: row[1] for row in found}


def count_gaps_of(connection: Connection, taskgroup_id: str) -> int:
    """Return the number of closed gaps of a group."""
    statement = select(func.count()).where(entries.c.kind == Kind.GAP.value)
    return connection.scalar(statement.where(entries.c.taskgroup_id == taskgroup_id)) or 0


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
    """Build the statement for a HistoryFilter with these members; building takes as long as executing it.

    The time of an entry is [its start, the next entry's start); an entry of no length is a moment.
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
        # The column is a JSON list of names, and no quoted name is part of another.
        named = (entries.c.anomalies.contains(f'"{name}"', autoescape=True) for name in anomalies)
        statement = statement.where(or_(*named))
    seq = entries.c.seq
    if after:
        last: ColumnElement[int] = bindparam("after_seq")
        statement = statement.where(seq < last if descending else seq > last)
    return statement.order_by(seq.desc() if descending else seq).limit(bindparam("limit"))
