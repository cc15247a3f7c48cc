"""Where a group's time went: per phase, per run status, and how much of it was seen at all.

Time is counted entry by entry, from the start of each to the start of the next; a gap starts at its
`from`, any other entry at its `at`, and the last status counts to its `last_seen_at`. Where our clock
stepped back the time in between counts as none, so that no sum is negative and what was observed is never
more than what was watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from recorder.ledger.entries import Action, Entry, Gap, Interval, Status
from recorder.ledger.status import RUN_STATUSES, Phase, Reading

_MICROSECOND = timedelta(microseconds=1)
_PER_SECOND = 10**6
_WATCHING = (Action.STARTED, Action.RESUMED)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the time that a group was enrolled it was seen.

    `watched_seconds` counts from each `started` or `resumed` to the watch entry that ends it, else to the
    last response. `fraction` is observed by watched seconds, None when nothing was watched.
    """

    watched_seconds: float
    gap_seconds: float
    observed_seconds: float
    fraction: float | None


def dwell_seconds_of(entries: Iterable[Entry], open_interval: Interval | None) -> dict[str, float]:
    """Return for how many seconds the group was seen in each phase, every phase being a key.

    `entries` and `open_interval` are a whole ledger, as in `episodes_of`.
    """
    micros = {phase.value: 0 for phase in Phase}
    for held, length in _stretches(entries, open_interval):
        if isinstance(held, Reading):
            micros[held.phase.value] += length
    return _in_seconds(micros)


def run_seconds_of(entries: Iterable[Entry], open_interval: Interval | None) -> dict[str, float]:
    """Return how many seconds its runs were seen in each run status, summed over the runs.

    Every run status is a key; a count that is absent, null or below 0 adds nothing. `entries` and
    `open_interval` are a whole ledger, as in `episodes_of`.
    """
    micros = dict.fromkeys(RUN_STATUSES, 0)
    for held, length in _stretches(entries, open_interval):
        if isinstance(held, Reading):
            for name in RUN_STATUSES:
                micros[name] += max(0, getattr(held, name) or 0) * length
    return _in_seconds(micros)


def coverage_of(entries: Iterable[Entry], open_interval: Interval | None) -> Coverage:
    """Return how much of the time that the group was watched it was seen.

    `entries` and `open_interval` are a whole ledger, as in `episodes_of`.
    """
    watched = gaps = 0
    for held, length in _stretches(entries, open_interval):
        watched += length
        if isinstance(held, Gap):
            gaps += length
    observed = watched - gaps
    return Coverage(
        watched / _PER_SECOND,
        gaps / _PER_SECOND,
        observed / _PER_SECOND,
        observed / watched if watched else None,
    )


def _stretches(
    entries: Iterable[Entry], open_interval: Interval | None
) -> Iterator[tuple[Reading | Gap | None, int]]:
    """Yield what held and for how many microseconds; None is watched time in which nothing was said yet."""
    last: Entry | None = None
    for entry in entries:
        if last is not None:
            yield from _accounted(last, _start_of(entry))
        last = entry
    if last is not None:
        yield from _accounted(last, last.at if open_interval is None else open_interval.last_seen_at)


def _accounted(entry: Entry, until: datetime) -> Iterator[tuple[Reading | Gap | None, int]]:
    """Yield what `entry` accounts for, if the next one starts at `until`; unwatched time is left out."""
    content, rest = entry.content, _micros(entry.at, until)
    if isinstance(content, Status):
        yield content.reading, rest
    elif isinstance(content, Gap):
        yield content, _micros(content.from_, entry.at)
        yield None, rest
    elif content.action in _WATCHING:
        yield None, rest


def _start_of(entry: Entry) -> datetime:
    return entry.content.from_ if isinstance(entry.content, Gap) else entry.at


def _micros(start: datetime, end: datetime) -> int:
    return max(0, (end - start) // _MICROSECOND)


def _in_seconds(micros: dict[str, int]) -> dict[str, float]:
    return {name: count / _PER_SECOND for name, count in micros.items()}
