"""Where a group's time went: per phase, per run status, and how much of it was observed at all.

Time is counted entry by entry, from the start of each to the start of the next. A gap starts at its `from`,
any other entry at its `at`, and the last status counts to its `last_seen_at`. Where our clock stepped back,
the time in between counts as 0, so that no sum is negative and the observed time never exceeds the watched
time. Notes and expectations change no figure: what held before them goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from recorder.ledger.entries import REMARKS, Action, Entry, Gap, Interval, StatusContent
from recorder.ledger.status_fields import RUN_STATUSES, Phase
from recorder.ledger.value_class import value_class

_MICROSECOND = timedelta(microseconds=1)
_PER_SECOND = 10**6
_WATCHING = (Action.STARTED, Action.RESUMED)
_PHASES = tuple(Phase)


@value_class
class Coverage:
    """How much of the time that a group was watched it was also observed.

    `watched_seconds` runs from each `started` or `resumed` to the watch entry that ends it, or to the last
    response. `fraction` is observed divided by watched seconds, None when the group was never watched.
    """

    watched_seconds: float
    gap_seconds: float
    observed_seconds: float
    fraction: float | None


@value_class
class Held:
    """The state that the last entry began: a status with its phase and the count of each run status, or
    watched time before the next response, with neither."""

    since: datetime
    phase: Phase | None
    runs: tuple[int, ...] | None


@value_class
class Dwell:
    """Where the time went up to an entry of a ledger, in microseconds.

    `phases` and `runs` are in the order of the phases and of the run statuses. `held` is the state that the
    last entry began, whose time is not counted yet; None while the group is not watched.
    """

    watched: int = 0
    gaps: int = 0
    phases: tuple[int, ...] = (0,) * len(_PHASES)
    runs: tuple[int, ...] = (0,) * len(RUN_STATUSES)
    held: Held | None = None

    def phase_seconds(self) -> dict[str, float]:
        """Return how many seconds the group was observed in each phase; every phase is a key."""
        return {phase.value: micros / _PER_SECOND for phase, micros in zip(_PHASES, self.phases, strict=True)}

    def run_seconds(self) -> dict[str, float]:
        """Return how many seconds the runs were observed in each run status, summed over the runs.

        Every run status is a key. A count that is absent, null or negative adds nothing.
        """
        return {status: micros / _PER_SECOND for status, micros in zip(RUN_STATUSES, self.runs, strict=True)}

    def coverage(self) -> Coverage:
        """Return how much of the watched time was observed."""
        observed = self.watched - self.gaps
        return Coverage(
            self.watched / _PER_SECOND,
            self.gaps / _PER_SECOND,
            observed / _PER_SECOND,
            observed / self.watched if self.watched else None,
        )


def dwell_of(entries: Iterable[Entry], open_interval: Interval | None) -> Dwell:
    """Return where a group's time went; `entries` and `open_interval` are those of `episodes_of`."""
    dwell = Dwell()
    for entry in entries:
        dwell = advance_dwell(dwell, entry)
    return count_until_last_seen(dwell, open_interval)


def advance_dwell(dwell: Dwell, entry: Entry) -> Dwell:
    """Return where the time went up to `entry`, the one after the last entry in `dwell`."""
    content = entry.content
    if isinstance(content, StatusContent):
        fields = content.fields
        runs = tuple([count if count is not None and count > 0 else 0 for count in fields.counts])
        return _counted(dwell, entry.at, Held(entry.at, fields.phase, runs))
    if isinstance(content, Gap):
        dwell, length = _counted(dwell, content.from_), _micros(content.from_, entry.at)
        unseen = Held(entry.at, None, None)
        return replace(dwell, watched=dwell.watched + length, gaps=dwell.gaps + length, held=unseen)
    if content.action in REMARKS:
        return _pass_remark(dwell, entry.previous)
    held = Held(entry.at, None, None) if content.action in _WATCHING else None
    return _counted(dwell, entry.at, held)


def _pass_remark(dwell: Dwell, previous: Interval | None) -> Dwell:
    """Count a status to its end, since it is the last one if no response follows, and go on holding it."""
    if dwell.held is None or previous is None:
        return dwell
    return _counted(dwell, previous.last_seen_at, replace(dwell.held, since=previous.last_seen_at))


def count_until_last_seen(dwell: Dwell, open_interval: Interval | None) -> Dwell:
    """Count the last entry up to its `last_seen_at` if it is a status; otherwise `open_interval` is None."""
    return dwell if open_interval is None else _counted(dwell, open_interval.last_seen_at)


def _counted(dwell: Dwell, until: datetime, then: Held | None = None) -> Dwell:
    """Count what is held up to `until`, and hold `then`."""
    held, phases, runs = dwell.held, dwell.phases, dwell.runs
    length = 0 if held is None else _micros(held.since, until)
    if length and held is not None and held.phase is not None and held.runs is not None:
        place = _PHASES.index(held.phase)
        phases = (*phases[:place], phases[place] + length, *phases[place + 1 :])
        runs = tuple([micros + length * count for micros, count in zip(runs, held.runs, strict=True)])
    return Dwell(dwell.watched + length, dwell.gaps, phases, runs, then)


def _micros(start: datetime, end: datetime) -> int:
    return max(0, (end - start) // _MICROSECOND)
