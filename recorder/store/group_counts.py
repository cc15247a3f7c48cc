"""Counts across all groups that their watch rows give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import WatchState
from recorder.store.data_cache import kept_while
from recorder.store.tables import watches


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


@dataclass(frozen=True, slots=True)
class _Tally:
    """What stays true while nothing is written and no further gap opens, which happens at `next_gap_at`."""

    phases: Mapping[Phase | None, int]
    states: Mapping[WatchState, int]
    open_gaps: int
    entries: int
    next_gap_at: datetime | None


def read_group_counts(connection: Connection, now: datetime) -> GroupCounts:
    """Return the counts across all groups at `now`."""
    return _counts(connection, now, _tally(connection, now))


def kept_group_counts(connection: Connection, now: datetime) -> GroupCounts:
    """Return what `read_group_counts` does, without reading all groups if nothing was written since.

    The connection must be one that never writes.
    """

    def tally() -> tuple[_Tally, datetime | None]:
        found = _tally(connection, now)
        return found, found.next_gap_at

    return _counts(connection, now, kept_while(connection, "group counts", now, tally))


def kept_open_gaps(connection: Connection, now: datetime) -> int:
    """Return how many groups have an open gap at `now`, as `kept_group_counts` does."""

    def count() -> tuple[int, datetime | None]:
        row = connection.execute(select(*_gap_columns(now))).one()
        return row.open_gaps, row.next_gap_at

    return kept_while(connection, "open gaps", now, count)


def _counts(connection: Connection, now: datetime, tally: _Tally) -> GroupCounts:
    waiting = watches.c.owner.is_(None), watches.c.next_poll_at <= now
    longest = func.min(watches.c.next_poll_at, type_=watches.c.next_poll_at.type)
    due, since = connection.execute(select(func.count(), longest).where(*waiting)).one()
    return GroupCounts(
        phases=tally.phases,
        states=tally.states,
        open_gaps=tally.open_gaps,
        due=due,
        late_seconds=0.0 if since is None else max(0.0, (now - since).total_seconds()),
        entries=tally.entries,
    )


def _tally(connection: Connection, now: datetime) -> _Tally:
    phases: Counter[Phase | None] = Counter()
    states: Counter[WatchState] = Counter()
    open_gaps, entries, following = 0, 0, []
    columns = (watches.c.phase, watches.c.state)
    found = select(
        *columns,
        func.count().label("groups"),
        func.sum(watches.c.head_seq).label("entries"),
        *_gap_columns(now),
    )
    for row in connection.execute(found.group_by(*columns)):
        phases[None if row.phase is None else Phase(row.phase)] += row.groups
        states[WatchState(row.state)] += row.groups
        open_gaps += row.open_gaps
        entries += int(row.entries)
        following.append(row.next_gap_at)
    known = [moment for moment in following if moment is not None]
    return _Tally(phases, states, open_gaps, entries, min(known, default=None))


def _gap_columns(now: datetime) -> tuple[ColumnElement[Any], ...]:
    opened = watches.c.gap_at < now
    coming = func.min(case((watches.c.gap_at >= now, watches.c.gap_at)), type_=watches.c.gap_at.type)
    return func.count(case((opened, 1))).label("open_gaps"), coming.label("next_gap_at")
