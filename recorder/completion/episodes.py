"""Episodes: stretches of work, from when a group becomes active until it is settled.

This is a fold over a ledger in the order of `seq`: `advance_episodes` takes the next entry and returns the
new state, and the episode that ended there, if any. How long a status lasted is known from the entry that
follows it; for the last status, from the watch.

An observation that is not clear shows neither work nor its end, so it sets no bound and no counts, and it
does not prolong an open episode. Its responses still count in `polls`. Not clear are the phase `unclear`, the
body of another group, and an older state than the newest one seen in this stretch of work, which lasts until
the next episode opens.

A gap counts for an episode from the episode's start to the clear observation after the gap, or to the
episode's end. A gap without a clear observation after it lies behind the last sight of an open episode.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from operator import itemgetter

from recorder.completion.milestones import FinishedRuns, Milestone, milestones_of, runs_of
from recorder.completion.newest import Newest
from recorder.completion.time_bounds import Moment, elapsed, elapsed_seconds, end_in, start_in, window_of
from recorder.ledger.entries import Entry, Gap, Interval, StatusContent
from recorder.ledger.status_fields import FINISHED_STATUSES, RUN_STATUSES, Phase
from recorder.ledger.value_class import value_class

_MICROSECOND = timedelta(microseconds=1)
_PER_SECOND = 10**6
_NOTHING = timedelta()
_finished_counts = itemgetter(*map(RUN_STATUSES.index, FINISHED_STATUSES))
"""The counts of RunCounts, in its order."""
_WORKING = (Phase.ACTIVE, Phase.BLOCKED)


class Outcome(StrEnum):
    """How the runs ended that finished since the previous episode; `mixed` if they did not all end in the
    same way, or if no count rose."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MIXED = "mixed"


@value_class
class RunCounts:
    """A group's counts at one observation; None where a count was not reported."""

    total: int | None
    completed: int | None
    failed: int | None
    cancelled: int | None

    @property
    def finished(self) -> int:
        """The runs that have completed, failed or been cancelled; an absent count counts as 0."""
        return (self.completed or 0) + (self.failed or 0) + (self.cancelled or 0)


_NO_RUNS = RunCounts(0, 0, 0, 0)


@value_class
class Episode:
    """One stretch of work of a group; `number` counts from 1.

    `completed` and `outcome` are None while it is open. It is `censored` then: `duration_seconds` runs to the
    last clear response, and the true duration is longer. `duration_earliest_seconds` and
    `duration_latest_seconds` bound the duration, None where a bound of its start or end is unknown. A
    duration that would be negative, because our clock stepped back, is 0. `first_sight`: the group was first
    clearly observed during the episode or after it. `runs` are the counts at its last clear observation.
    `gap_seconds` is the time in it that lies in gaps. `polls` counts the responses from the one that opened
    it to the one that ended it, or to the last one. `milestones` are None if they were not read.
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
    runs: RunCounts
    gap_seconds: float
    polls: int
    milestones: tuple[Milestone, ...] | None


Stretch = tuple[datetime, datetime]


@value_class
class Sight:
    """A clear observation, recorded as the entry `seq`, and when it was last confirmed."""

    seq: int
    phase: Phase
    runs: RunCounts
    last_asked_at: datetime
    last_seen_at: datetime


@value_class
class Opened:
    """An open episode. `polls` does not include the responses of a status that is the last entry.
    `gap_micros` is the time in gaps that the end of the episode cannot shorten any more, in microseconds."""

    started: Moment
    first_sight: bool
    polls: int
    gap_micros: int
    finished: FinishedRuns


@value_class
class State:
    """The episodes of a ledger up to one of its entries.

    `episodes` counts the completed ones, and `before` has the counts when the last of them ended. `sight` is
    the last clear observation. `unclear`: the last entry is an observation that is not clear. `newest` is the
    newest state in this stretch of work. `gaps` are the gaps since the last clear observation; `near` are
    earlier ones that ended after its last poll was sent, so that a start or an end may still fall into them.
    """

    episodes: int = 0
    before: RunCounts = _NO_RUNS
    opened: Opened | None = None
    sight: Sight | None = None
    unclear: bool = False
    gaps: tuple[Stretch, ...] = ()
    near: tuple[Stretch, ...] = ()
    newest: Newest = Newest()


def episodes_of(entries: Iterable[Entry], open_interval: Interval | None) -> list[Episode]:
    """Return the episodes of a group, oldest first; only the last one can be open.

    `entries` is the whole ledger in order. `open_interval` is the interval of the last entry if that is a
    status entry, otherwise None.
    """
    state, episodes = State(), []
    for entry in entries:
        state, ended = advance_episodes(state, entry)
        if ended is not None:
            episodes.append(ended)
    last = open_episode(state, open_interval)
    return episodes if last is None else [*episodes, last]


def advance_episodes(state: State, entry: Entry) -> tuple[State, Episode | None]:
    """Return the state after `entry`, the one after the last entry in `state`, and the episode that it ended,
    if any."""
    state, content = extend_to_last_seen(state, entry.previous), entry.content
    if isinstance(content, StatusContent):
        return _see(state, entry.seq, content, entry.at)
    gaps = (*state.gaps, (content.from_, entry.at)) if isinstance(content, Gap) else state.gaps
    return replace(state, unclear=False, gaps=gaps), None


def open_episode(state: State, open_interval: Interval | None, *, brief: bool = False) -> Episode | None:
    """Return the open episode, None if there is none; see `episodes_of`. `brief`: without milestones."""
    state = extend_to_last_seen(state, open_interval)
    opened, sight = state.opened, state.sight
    if opened is None or sight is None:
        return None
    duration = elapsed_seconds(opened.started.at, sight.last_seen_at)
    return Episode(
        number=state.episodes + 1,
        started=opened.started,
        completed=None,
        outcome=None,
        duration_seconds=duration,
        duration_earliest_seconds=elapsed_seconds(opened.started.latest, sight.last_seen_at),
        duration_latest_seconds=None,
        censored=True,
        first_sight=opened.first_sight,
        runs=sight.runs,
        gap_seconds=min(open_gap_seconds(state), duration),
        polls=opened.polls,
        milestones=None if brief else open_milestones(state),
    )


def open_milestones(state: State) -> tuple[Milestone, ...]:
    """Return the milestones of the open episode, none if there is none; they change with entries only."""
    if state.opened is None or state.sight is None:
        return ()
    runs = runs_of(state.sight.runs.total, state.before.finished)
    return milestones_of(state.opened.finished, runs, state.opened.started)


def open_gap_seconds(state: State) -> float:
    """Return how many seconds of the open episode lie in gaps; they change with entries only."""
    if state.opened is None:
        return 0.0
    return _with_gaps(state.opened, state.near).gap_micros / _PER_SECOND


def extend_to_last_seen(state: State, interval: Interval | None) -> State:
    """Extend the last entry to the end of its `interval`, which is None unless it is a status."""
    if interval is None:
        return state
    opened, sight, near = state.opened, state.sight, state.near
    if opened is not None:
        polls = opened.polls + interval.polls
        opened = Opened(opened.started, opened.first_sight, polls, opened.gap_micros, opened.finished)
    if sight is not None and not state.unclear:
        sight = Sight(sight.seq, sight.phase, sight.runs, interval.last_asked_at, interval.last_seen_at)
        if near:
            passed = [gap for gap in near if gap[1] <= interval.last_asked_at]
            near = tuple(gap for gap in near if gap[1] > interval.last_asked_at)
            opened = None if opened is None else _with_gaps(opened, passed)
    return State(state.episodes, state.before, opened, sight, state.unclear, state.gaps, near, state.newest)


def _see(state: State, seq: int, status: StatusContent, at: datetime) -> tuple[State, Episode | None]:
    fields, newest = status.fields, state.newest.with_status(status, at)
    if not state.newest.shows_clearly(status):
        return replace(state, unclear=True, newest=newest), None
    before, opened, near = state.sight, state.opened, state.near
    runs = RunCounts(fields.num_task_runs, *_finished_counts(fields.counts))
    sight = Sight(seq, fields.phase, runs, last_asked_at=at, last_seen_at=at)
    if state.gaps:
        near = (*near, *((start, min(end, at)) for start, end in state.gaps))
    starts = opened is None and _shows_work(before, sight)
    asked_before = None if before is None else before.last_asked_at
    window = window_of(asked_before, at, created_at=fields.created_at, modified_at=fields.modified_at)
    if starts:
        opened = Opened(start_in(window), window.first_sight, 0, 0, FinishedRuns())
        newest = state.newest.restarted(status, at)
    if opened is not None:
        finished = opened.finished.seen(status, at, asked_before, state.before.finished)
        opened = Opened(opened.started, opened.first_sight, opened.polls, opened.gap_micros, finished)
    seen = State(state.episodes, state.before, opened, sight, near=near, newest=newest)
    if opened is None or sight.phase is not Phase.SETTLED:
        return seen, None
    completed = end_in(window)
    cut = [(start, min(end, completed.at)) for start, end in near]
    ended = _ended(seen, _with_gaps(opened, cut), runs, completed, set_back=window.set_back)
    return replace(seen, episodes=ended.number, before=runs, opened=None), ended


def _shows_work(before: Sight | None, now: Sight) -> bool:
    """Whether `now`, with no episode open, shows work: in progress, or begun and ended unseen.

    All runs of a settled group have finished, so additional runs always change the counts compared here.
    """
    if now.phase is not Phase.SETTLED:
        return now.phase in _WORKING
    if before is None or before.phase is not Phase.SETTLED:
        return True
    return any(_rises(before.runs, now.runs))


def _ended(state: State, opened: Opened, runs: RunCounts, completed: Moment, *, set_back: bool) -> Episode:
    lasted = elapsed(opened.started, completed, set_back=set_back)
    return Episode(
        number=state.episodes + 1,
        started=opened.started,
        completed=completed,
        outcome=_outcome(state.before, runs),
        duration_seconds=lasted.seconds,
        duration_earliest_seconds=lasted.earliest,
        duration_latest_seconds=lasted.latest,
        censored=False,
        first_sight=opened.first_sight,
        runs=runs,
        gap_seconds=min(opened.gap_micros / _PER_SECOND, lasted.seconds),
        polls=opened.polls + 1,
        milestones=open_milestones(state),
    )


def _outcome(before: RunCounts, after: RunCounts) -> Outcome:
    outcomes = (Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED)
    rises = _rises(before, after)
    finished = [outcome for outcome, rise in zip(outcomes, rises, strict=True) if rise > 0]
    return finished[0] if len(finished) == 1 else Outcome.MIXED


def _rises(before: RunCounts, after: RunCounts) -> tuple[int, int, int]:
    """Return by how much the completed, failed and cancelled runs rose; an absent count counts as 0."""
    return (
        (after.completed or 0) - (before.completed or 0),
        (after.failed or 0) - (before.failed or 0),
        (after.cancelled or 0) - (before.cancelled or 0),
    )


def _with_gaps(opened: Opened, gaps: Iterable[Stretch]) -> Opened:
    """Add the parts of `gaps` that lie after the episode's start."""
    overlaps = (max(_NOTHING, end - max(start, opened.started.at)) for start, end in gaps)
    return replace(opened, gap_micros=opened.gap_micros + sum(overlaps, start=_NOTHING) // _MICROSECOND)
