"""Read the gaps of all groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, case, func, select

from recorder.ledger.entries import Kind
from recorder.ledger.poll_outcome import Cause
from recorder.store.dialects.functions import seconds_between, time_text
from recorder.store.mapping import failures_of
from recorder.store.tables import entries, is_kind, watches

STILL_OPEN = np.iinfo(np.int64).max
"""Stands for the end of a gap that is open."""


@dataclass(frozen=True, slots=True, eq=False)
class GapColumns:
    """Gaps of all groups as equally long columns, in no order: the group, the cause, and when the gap began
    and ended, in Unix microseconds."""

    taskgroup_ids: Sequence[str]
    causes: Sequence[str]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def read_all_gaps(
    connection: Connection, since: datetime | None, until: datetime | None, now: datetime
) -> GapColumns:
    """Return the gaps of all groups that meet [`since`, `until`), open ones as of `now`."""
    closed = list(zip(*_fetched(connection, _closed_gaps(since, until)), strict=True)) or [()] * 4
    opened: list[Sequence[Any]] = [()] * 4
    if since is None or since < now:
        opened = list(zip(*_fetched(connection, _open_gaps(until, now)), strict=True)) or opened
    ids, failures, seconds, started = opened
    causes = [_cause(text, length) for text, length in zip(failures, seconds, strict=True)]
    return GapColumns(
        [*closed[0], *ids],
        [*closed[1], *causes],
        np.concatenate([_microseconds(closed[2]), _microseconds(started)]),
        np.concatenate([_microseconds(closed[3]), np.full(len(ids), STILL_OPEN)]),
    )


def _closed_gaps(since: datetime | None, until: datetime | None) -> Select[Any]:
    times = time_text(entries.c.gap_from), time_text(entries.c.at)
    found = select(entries.c.taskgroup_id, entries.c.gap_cause, *times).where(is_kind(Kind.GAP))
    if since is not None:
        found = found.where(entries.c.at > since)
    return found if until is None else found.where(entries.c.gap_from < until)


def _open_gaps(until: datetime | None, now: datetime) -> Select[Any]:
    """Select what `recorder.ledger.transitions.open_gap` takes the start and the cause of a gap from."""
    time = watches.c.gap_at.type
    sight = func.coalesce(watches.c.last_seen_at, watches.c.earlier_sight_at, watches.c.head_at, type_=time)
    end = case((watches.c.poll_due_at > watches.c.gap_at, watches.c.poll_due_at), else_=watches.c.gap_at)
    start = case((sight < end, sight), else_=end)
    seconds = case((watches.c.failures.is_not(None), seconds_between(start, end)))
    columns = (watches.c.taskgroup_id, watches.c.failures, seconds, time_text(start))
    found = select(*columns).where(watches.c.gap_at < now)
    return found if until is None else found.where(start < until)


def _fetched(connection: Connection, statement: Select[Any]) -> Iterable[Sequence[Any]]:
    found = connection.execute(statement)
    # Reads the driver's own rows: wrapping them in SQLAlchemy's takes as long as everything else here.
    return found.cursor.fetchall() if found.cursor is not None else ()


def _cause(failures: str | None, seconds: float | None) -> str:
    if failures is None or seconds is None:
        return Cause.NOT_POLLED
    found = failures_of(failures).cause_over(seconds)
    return Cause.NOT_POLLED if found is None else found.cause


def _microseconds(texts: Sequence[str]) -> NDArray[np.int64]:
    return np.array([text[:-1] for text in texts], dtype="datetime64[us]").astype(np.int64)


def recorded_extent(connection: Connection) -> tuple[datetime, datetime] | None:
    """Return when the first group was enrolled and when any was last seen or changed; None without groups."""
    time = watches.c.enrolled_at.type
    first = connection.scalar(select(func.min(watches.c.enrolled_at, type_=time)))
    if first is None:
        return None
    newest = (func.max(watches.c.head_at, type_=time), func.max(watches.c.last_seen_at, type_=time))
    row = connection.execute(select(*newest)).one()
    return first, max(moment for moment in row if moment is not None)
