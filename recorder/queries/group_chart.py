"""What a chart of one group shows: counts of runs over time, gaps, and how sure the times are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from recorder.ledger.entries import REMARKS, Action, Kind
from recorder.ledger.status_fields import RUN_STATUSES
from recorder.ledger.transitions import open_gap
from recorder.ledger.watch import Watch
from recorder.store.chart_rows import LedgerColumns, read_columns

OTHER = "other"
"""Runs that are in none of the documented statuses."""
SERIES = (*RUN_STATUSES, OTHER)
_WATCHING = (Action.STARTED, Action.RESUMED)
_REMARKS = {action.value for action in REMARKS}


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A stretch of time in Unix milliseconds; `label` is the cause of a gap, else what it is."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class GroupChart:
    """A group from `lo` to `hi`, in Unix milliseconds.

    `counts` has a row for each of SERIES and a column for each of `times`, from which on it holds; where
    nothing was `seen`, in `gaps` and while the group was `unwatched`, all are 0. `windows` has a row for each
    stretch in which a change happened that was seen at its end: when it starts and ends. `entries` counts the
    entries that were read, and `cut` is whether there were more than can be charted, so that the oldest are
    missing.
    """

    lo: float
    hi: float
    times: NDArray[np.float64]
    counts: NDArray[np.float64]
    seen: NDArray[np.bool_]
    gaps: list[TimeSpan]
    unwatched: list[TimeSpan]
    windows: NDArray[np.float64]
    entries: int
    cut: bool


def group_chart(
    connection: Connection,
    watch: Watch,
    since: datetime | None,
    until: datetime | None,
    now: datetime,
) -> GroupChart:
    """Return a group's chart from `since` to `until`; by default from its first entry to its last sight.

    An open gap reaches to `now`.
    """
    ledger = read_columns(connection, watch, since, until)
    gap = open_gap(watch, now)
    last = max(ledger.last, float(ledger.at.max())) if len(ledger) else _millis(now)
    if gap is not None:
        last = max(last, _millis(now))
    lo = float(ledger.start.min()) if since is None and len(ledger) else _millis(since or now)
    hi = last if until is None else _millis(until)
    hi = max(hi, lo + 1)
    # An entry's start is never before that of the one before it, even if our clock stepped back.
    start = np.maximum.accumulate(ledger.start) if len(ledger) else ledger.start
    gaps, unwatched = _gaps(ledger, start), _unwatched(ledger, start, hi)
    reaches = until is None or until > now
    if gap is not None and (reaches or gap.from_ < until):  # type: ignore[operator]
        gaps.append(TimeSpan(_millis(gap.from_), max(hi, _millis(now)) if reaches else hi, gap.cause.value))
    times, counts, seen = _steps(ledger, start, gaps)
    return GroupChart(
        lo=lo,
        hi=hi,
        times=times,
        counts=counts,
        seen=seen,
        gaps=gaps,
        unwatched=unwatched,
        windows=_windows(ledger),
        entries=len(ledger),
        cut=ledger.cut,
    )


def _steps(
    ledger: LedgerColumns, start: NDArray[np.float64], gaps: list[TimeSpan]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return from when on which counts hold; what is not known counts as 0."""
    kept = np.array([action not in _REMARKS for action in ledger.label], dtype=bool)
    is_status = np.array([kind == Kind.STATUS for kind in ledger.kind], dtype=bool)
    counts = np.nan_to_num(np.where(is_status, ledger.counts, 0.0)).clip(min=0)
    other = np.where(is_status, np.nan_to_num(ledger.total), 0.0) - counts.sum(axis=0)
    stacked = np.vstack([counts, other.clip(min=0)])
    times, values, seen = start[kept], stacked[:, kept], is_status[kept]
    if gaps and (not len(times) or gaps[-1].start >= times[-1]) and not _ends_in_gap(ledger):
        times = np.append(times, gaps[-1].start)
        values = np.hstack([values, np.zeros((len(SERIES), 1))])
        seen = np.append(seen, False)
    return times, values, seen


def _ends_in_gap(ledger: LedgerColumns) -> bool:
    return len(ledger) > 0 and ledger.kind[-1] == Kind.GAP


def _gaps(ledger: LedgerColumns, start: NDArray[np.float64]) -> list[TimeSpan]:
    return [
        TimeSpan(float(start[place]), float(ledger.at[place]), str(ledger.label[place]))
        for place, kind in enumerate(ledger.kind)
        if kind == Kind.GAP
    ]


def _unwatched(ledger: LedgerColumns, start: NDArray[np.float64], hi: float) -> list[TimeSpan]:
    """Return when the group was not watched: from an entry that ends the watch to one that resumes it."""
    spans, since, why = [], None, ""
    for place, (kind, action) in enumerate(zip(ledger.kind, ledger.label, strict=True)):
        if kind != Kind.WATCH or action is None or action in _REMARKS:
            continue
        if since is not None:
            spans.append(TimeSpan(since, float(start[place]), why))
        since = None if action in _WATCHING else float(start[place])
        why = action
    if since is not None:
        spans.append(TimeSpan(since, max(hi, since), why))
    return spans


def _windows(ledger: LedgerColumns) -> NDArray[np.float64]:
    """Return the windows of changes from one status to the next, without a gap or a watch change between."""
    kinds = np.array(ledger.kind)
    both = (kinds[:-1] == Kind.STATUS.value) & (kinds[1:] == Kind.STATUS.value)
    places = np.flatnonzero(both & (ledger.at[1:] > ledger.asked[:-1]))
    return np.column_stack([ledger.asked[places], ledger.at[places + 1]])


def _millis(moment: datetime) -> float:
    return moment.timestamp() * 1000
