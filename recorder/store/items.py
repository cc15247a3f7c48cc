"""A line of a group's history as it lies in the database, read as far as somebody asks.

Most lines go out as JSON, which needs no times and no bodies of ours: what is stored is what is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import ColumnElement, RowMapping, Select, and_, func, select

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.canonical import JsonObject
from recorder.ledger.encoding import decode_value
from recorder.ledger.entries import Gap, Interval, Kind, WatchChange
from recorder.ledger.status import Phase, Reading
from recorder.ledger.times import parse_time
from recorder.store.rows import anomalies_in, gap_of, reading_of, watch_change_of
from recorder.store.sql import time_text
from recorder.store.tables import Time, entries, watches


@dataclass(frozen=True, slots=True)
class StatusItem:
    """A status entry's content: what was said (`value`), as it is reported, and how long it was in sight."""

    value: JsonObject
    reading: Reading
    anomalies: tuple[Anomaly, ...]
    interval: Interval


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a group's history: the columns that say it, times as text, and by the names `until_…` those
    that end the interval of a status."""

    columns: Mapping[str, Any]

    @property
    def seq(self) -> int:
        return cast(int, self.columns["seq"])

    @property
    def kind(self) -> Kind:
        return Kind(self.columns["kind"])

    @property
    def phase(self) -> Phase | None:
        """The phase of a status, else None."""
        phase = self.columns["phase"]
        return None if phase is None else Phase(phase)

    @property
    def at(self) -> datetime:
        """The entry's own time."""
        return parse_time(self.columns["at"])

    @property
    def start(self) -> datetime:
        """From when on it counts: of a gap when that began, else `at`."""
        return parse_time(self.columns["gap_from"] or self.columns["at"])

    @property
    def last_seen_at(self) -> datetime:
        """When a status was seen last."""
        return parse_time(self.columns["until_seen_at"])

    @property
    def digest(self) -> str:
        return cast(str, self.columns["digest"])

    @property
    def content(self) -> StatusItem | Gap | WatchChange:
        """What the line says, in the ledger's own types."""
        row = cast(Any, self._typed())
        if self.kind is Kind.GAP:
            return gap_of(row)
        if self.kind is Kind.WATCH:
            return watch_change_of(row)
        reading = reading_of(row)
        value = decode_value(row.taskgroup_id, reading, row.extra)
        interval = Interval(row.until_asked_at, row.until_seen_at, row.until_polls)
        return StatusItem(value, reading, anomalies_in(row), interval)

    def value(self) -> JsonObject:
        """The body of a status, as it was said."""
        row = cast(Any, self._typed())
        return decode_value(row.taskgroup_id, reading_of(row), row.extra)

    def _typed(self) -> SimpleNamespace:
        times = {name: parse_time(self.columns[name]) for name in _TIMES if self.columns[name] is not None}
        return SimpleNamespace(**{**self.columns, **times})


_UNSHOWN = {"previous_last_asked_at", "previous_last_seen_at", "previous_polls", "rules"}
_SHOWN = tuple(column for column in entries.c if column.name not in _UNSHOWN)
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
"""Entries with what ends the interval of each: the entry after it, or the watch row."""


def item_of(row: RowMapping) -> Item:
    """Read a row of `ITEMS`."""
    return Item(cast(Mapping[str, Any], row))
