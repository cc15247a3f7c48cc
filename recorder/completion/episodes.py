"""Episodes: stretches of work, from a group's becoming active to its being settled.

A fold over a ledger, entry by entry and in the order of `seq`: `advance` takes the next entry, and the
state after it says which episode ended there and which one is open. What is known only of the last
status, how long it held, comes with the entry that follows it, or from the watch.

An observation in phase `unclear` shows neither work nor its end, so nothing rests on it: no bound, no
counts, and it does not prolong an open episode. Its responses are counted in `polls` all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from recorder.completion.moments import Moment, end_in, start_in, window_of
from recorder.ledger.entries import Entry, Gap, Interval, Status
from recorder.ledger.status import Phase, Reading

_WORKING = (Phase.ACTIVE, Phase.BLOCKED)


class Outcome(StrEnum):
    """How all runs finished that did so since the episode before; `mixed` where not all in one way, or
    where no count rose."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Runs:
    """A group's counts at one observation; None where it did not say."""

    total: int | None
    completed: int | None
    failed: int | None
    cancelled: int | None


_NO_RUNS = Runs(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Episode:
    """One stretch of work of a group, the `number`th from 1.

    `completed` and `outcome` are None while it is open. Then it is `censored`: it is known to last longer
    than `duration_seconds`, up to the last clear response. The other two durations bound it, None where a
    bound of its start or end is not known; a duration that a clock stepping back made negative is 0.
    `first_sight`: the first clear observation of the group was already in it or past it. `runs` are the
    counts at its last clear observation. `gap_seconds` is how much of it fell into gaps. `polls` counts
    the responses from the one that opened it to the one that ended it, or to the last one.
    """

    number: int
    started: Moment
    completed: Moment | None
    outcome: Outcome | None
    duration_seconds: float
    duration_earliest_seconds: float | None
    duration_latest_seconds: float | None
    censored: bool
    first_sight: bool
    runs: Runs
    gap_seconds: float
    polls: int


@dataclass(frozen=True, slots=True)
class Sight:
    """A clear observation, and when it was last made."""

    phase: Phase
    runs: Runs
    last_asked_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """An open episode. `before` are the counts before it; `polls` and `gaps` are without what the state
    still holds open: the last status, and gaps that may outlast the episode."""

    started: Moment
    first_sight: bool
    before: Runs
    polls: int
    gaps: timedelta


@dataclass(frozen=True, slots=True)
class State:
    """What a ledger says up to one of its entries.

    `episodes` counts those that ended; `ended` is the one that the last entry ended. `sight` is the last
    clear observation; `unclear` says that the last entry is an observation and no clear one. `gaps` are
    those that may reach into an episode beyond what is settled about it.
    """

    episodes: int = 0
    ended: Episode | None = None
    opened: Opened | None = None
    sight: Sight | None = None
    unclear: bool = False
    gaps: tuple[tuple[datetime, datetime], ...] = ()


def episodes_of(entries: Iterable[Entry], open_interval: Interval | None) -> list[Episode]:
    """Return the episodes of a group, oldest first; only the last one may be open.

    `entries` is its whole ledger in order. `open_interval` is the interval of the last entry if that is a
    status entry, None otherwise.
    """
    state, episodes = State(), []
    for entry in entries:
        state = advance(state, entry)
        if state.ended is not None:
            episodes.append(state.ended)
    last = open_episode(state, open_interval)
    return episodes if last is None else [*episodes, last]


def advance(state: State, entry: Entry) -> State:
    """Return the state after `entry`, which follows the last one that `state` knows."""
    state = replace(_held(state, entry.previous), ended=None, unclear=False)
    if isinstance(entry.content, Status):
        return _see(state, entry.content.reading, entry.at)
    if isinstance(entry.content, Gap):
        return replace(state, gaps=(*state.gaps, (entry.content.from_, entry.at)))
    return state


def open_episode(state: State, open_interval: Interval | None) -> Episode | None:
    """Return the episode that is open, None if there is none; `open_interval` as in `episodes_of`."""
    state = _held(state, open_interval)
    opened, sight = state.opened, state.sight
    if opened is None or sight is None:
        return None
    duration = _seconds(opened.started.at, sight.last_seen_at)
    return Episode(
        number=state.episodes + 1,
        started=opened.started,
        completed=None,
        outcome=None,
        duration_seconds=duration,
        duration_earliest_seconds=_seconds(opened.started.latest, sight.last_seen_at),
        duration_latest_seconds=None,
        censored=True,
        first_sight=opened.first_sight,
        runs=sight.runs,
        gap_seconds=_gap_seconds(opened, state.gaps, sight.last_seen_at, duration),
        polls=opened.polls,
    )


def _held(state: State, interval: Interval | None) -> State:
    """Take in how long the status held that is the last entry; None if the last entry is no status."""
    if interval is None:
        return state
    if state.opened is not None:
        state = replace(state, opened=replace(state.opened, polls=state.opened.polls + interval.polls))
    if state.unclear or state.sight is None:
        return state
    sight = replace(state.sight, last_asked_at=interval.last_asked_at, last_seen_at=interval.last_seen_at)
    return _without_passed_gaps(replace(state, sight=sight), interval.last_asked_at)


def _without_passed_gaps(state: State, until: datetime) -> State:
    """Settle the gaps that were over by `until`: no later start or end of an episode falls into them."""
    opened = state.opened
    if opened is not None:
        start = opened.started.at
        passed = (_overlap(gap, start, gap[1]) for gap in state.gaps if gap[1] <= until)
        opened = replace(opened, gaps=sum(passed, start=opened.gaps))
    return replace(state, opened=opened, gaps=tuple(gap for gap in state.gaps if gap[1] > until))


def _see(state: State, reading: Reading, observed_at: datetime) -> State:
    if reading.phase is Phase.UNCLEAR:
        return replace(state, unclear=True)
    before, opened = state.sight, state.opened
    runs = Runs(reading.num_task_runs, reading.completed, reading.failed, reading.cancelled)
    sight = Sight(reading.phase, runs, last_asked_at=observed_at, last_seen_at=observed_at)
    window = window_of(
        None if before is None else before.last_asked_at,
        observed_at,
        created_at=reading.created_at,
        modified_at=reading.modified_at,
    )
    if opened is None and _shows_work(before, sight):
        counts = _NO_RUNS if before is None else before.runs
        opened = Opened(start_in(window), window.first_sight, counts, polls=0, gaps=timedelta())
    state = replace(state, opened=opened, sight=sight)
    if opened is None or sight.phase is not Phase.SETTLED:
        return state
    ended = _ended(state, opened, runs, end_in(window))
    return replace(state, episodes=ended.number, ended=ended, opened=None)


def _shows_work(before: Sight | None, now: Sight) -> bool:
    """Whether `now`, while no episode is open, shows work: going on, or begun and ended unseen.

    All runs of a settled group have finished, so that more runs always show in the counts compared here.
    """
    if now.phase is not Phase.SETTLED:
        return now.phase in _WORKING
    if before is None or before.phase is not Phase.SETTLED:
        return True
    return any(_rises(before.runs, now.runs))


def _ended(state: State, opened: Opened, runs: Runs, completed: Moment) -> Episode:
    started = opened.started
    duration = _seconds(started.at, completed.at)
    shortest = longest = None
    if completed.earliest is not None:
        shortest = _seconds(started.latest, completed.earliest)
        if started.earliest is not None:
            longest = _seconds(started.earliest, completed.latest)
    return Episode(
        number=state.episodes + 1,
        started=started,
        completed=completed,
        outcome=_outcome(opened.before, runs),
        duration_seconds=duration,
        duration_earliest_seconds=shortest,
        duration_latest_seconds=longest,
        censored=False,
        first_sight=opened.first_sight,
        runs=runs,
        gap_seconds=_gap_seconds(opened, state.gaps, completed.at, duration),
        polls=opened.polls + 1,
    )


def _outcome(before: Runs, after: Runs) -> Outcome:
    outcomes = (Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED)
    rises = _rises(before, after)
    finished = [outcome for outcome, rise in zip(outcomes, rises, strict=True) if rise > 0]
    return finished[0] if len(finished) == 1 else Outcome.MIXED


def _rises(before: Runs, after: Runs) -> tuple[int, int, int]:
    """By how much the counts of completed, failed and cancelled runs rose; an absent one counts as 0."""
    return (
        (after.completed or 0) - (before.completed or 0),
        (after.failed or 0) - (before.failed or 0),
        (after.cancelled or 0) - (before.cancelled or 0),
    )


def _gap_seconds(
    opened: Opened, gaps: tuple[tuple[datetime, datetime], ...], until: datetime, duration: float
) -> float:
    """Gaps that a clock stepping back made overlap count no longer than the episode itself."""
    start = opened.started.at
    total = sum((_overlap(gap, start, until) for gap in gaps), start=opened.gaps)
    return min(total.total_seconds(), duration)


def _overlap(gap: tuple[datetime, datetime], start: datetime, end: datetime) -> timedelta:
    return max(timedelta(), min(gap[1], end) - max(gap[0], start))


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())
