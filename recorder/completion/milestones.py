"""Milestones: when certain shares of an episode's runs had finished.

How many runs an episode has is known for sure only when it ends, since runs can be added until then. So an
open episode keeps steps: every rise of its count of finished runs, with the window in which it rose. Any
share of any number of runs is then reached in the first step with that count.

At most MOST_STEPS are kept. Beyond that, neighbours become one step, whose window covers both: a milestone in
it gets a wider window, never a wrong one. The steps at which the milestones of the current number of runs are
reached, and the newest step, stay as they are. The steps below the first milestone go first, since more runs
only move it up; after them, the neighbours with the narrowest window.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import reduce
from math import inf

from recorder.completion.time_bounds import Elapsed, Moment, elapsed, reached_between, window_of
from recorder.ledger.entries import StatusContent
from recorder.ledger.status_fields import Phase, finished_runs
from recorder.ledger.value_class import value_class

MOST_STEPS = 32

PERCENTAGES = (50, 90, 95, 99, 100)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST = 2**63 - 1
"""The largest number that a database column holds."""


Step = tuple[int, int | None, int, int | None, bool]
"""A count of the episode's finished runs; the earliest time at which it can have been reached (None if
unknown), the latest one, the group's last update if that lies in between, and whether our clock stepped back
in between.

Times are microseconds since 1970, and it is a plain tuple: the steps are read and written with every change.
"""


@value_class
class Milestone:
    """When a `fraction` of an episode's runs, `runs` of them, had finished.

    `runs` is None if the number of the episode's runs is unknown. `reached`, and with it `elapsed` since the
    episode's start, is None as long as fewer have finished.
    """

    fraction: float
    runs: int | None
    reached: Moment | None
    elapsed: Elapsed | None


@value_class
class FinishedRuns:
    """How the runs of an open episode have finished so far.

    The counts of an observation are used if they are known and not lower than before. `is_latest`: the last
    clear observation was used, so that its last poll is the one that may begin the next window. Otherwise
    `asked_at` is when the last poll was sent that showed the last used counts, None if there were none.
    """

    steps: tuple[Step, ...] = ()
    is_latest: bool = True
    asked_at: datetime | None = None

    def seen(
        self, status: StatusContent, at: datetime, asked_before: datetime | None, runs_before: int
    ) -> FinishedRuns:
        """Return the progress after a clear observation at `at`.

        `asked_before` is when the last poll was sent that showed the clear observation before, None if there
        was none. `runs_before` of the group's runs had finished before the episode.
        """
        asked_before = asked_before if self.is_latest else self.asked_at
        counted = _finished(status)
        known = self.steps[-1][0] if self.steps else 0
        if counted is None or counted - runs_before < known:
            return FinishedRuns(self.steps, is_latest=False, asked_at=asked_before)
        if counted - runs_before == known:
            return FinishedRuns(self.steps)
        fields = status.fields
        window = window_of(asked_before, at, created_at=fields.created_at, modified_at=fields.modified_at)
        earliest, modified_at = window.earliest, window.modified_at
        step = (
            counted - runs_before,
            None if earliest is None else _micros(earliest),
            _micros(window.latest),
            None if modified_at is None else _micros(modified_at),
            window.set_back,
        )
        return FinishedRuns(_thinned((*self.steps, step), runs_of(fields.num_task_runs, runs_before)))


def runs_of(total: int | None, runs_before: int) -> int | None:
    """Return how many of a group's `total` runs belong to an episode before which `runs_before` had finished.

    None if that is unknown, or cannot be.
    """
    if total is None or not 0 <= total - runs_before <= _LARGEST:
        return None
    return total - runs_before


def milestones_of(finished: FinishedRuns, runs: int | None, started: Moment) -> tuple[Milestone, ...]:
    """Return the milestones of an episode that has `runs` runs (None if unknown), in ascending order."""
    counts = [step[0] for step in finished.steps]
    found = []
    for percentage in PERCENTAGES:
        needed = None if runs is None else needed_runs(percentage, runs)
        place = bisect_left(counts, needed) if needed else len(counts)
        reached = since = None
        if place < len(counts):
            step = finished.steps[place]
            reached = _moment(step, is_last=percentage == 100)
            since = elapsed(started, reached, set_back=step[4])
        found.append(Milestone(percentage / 100, needed, reached, since))
    return tuple(found)


def _moment(step: Step, *, is_last: bool) -> Moment:
    """Return when a step was reached; the last update tells only when the last run finished."""
    _, earliest, latest, modified_at, _ = step
    return reached_between(
        None if earliest is None else _time(earliest),
        _time(latest),
        None if modified_at is None or not is_last else _time(modified_at),
    )


def _finished(status: StatusContent) -> int | None:
    """Return how many runs of a clear observation have finished; in a settled group that is all of them."""
    if status.fields.phase is Phase.SETTLED:
        return status.fields.num_task_runs
    return finished_runs(status.body.value["status"])


def needed_runs(percentage: int, runs: int) -> int:
    """Return `percentage` of `runs`, rounded up: in integers, as 0.95 and the like are not exact."""
    return -(-percentage * runs // 100)


def _thinned(steps: tuple[Step, ...], runs: int | None) -> tuple[Step, ...]:
    if len(steps) <= MOST_STEPS:
        return steps
    counts = [step[0] for step in steps]
    newest = len(steps) - 1
    places = (
        [bisect_left(counts, needed_runs(percentage, runs)) for percentage in PERCENTAGES] if runs else [0]
    )
    below = min(places[0], newest)
    if below > 1:
        return (reduce(_merged, steps[:below]), *steps[below:])
    kept = {*places, newest}
    pairs = [(place, place + 1) for place in range(newest) if not kept & {place, place + 1}]
    one, other = min(pairs, key=lambda pair: _width(*(steps[place] for place in pair)))
    return (*steps[:one], _merged(steps[one], steps[other]), *steps[other + 1 :])


def _merged(one: Step, other: Step) -> Step:
    """Return one step for two neighbours; where our clock stepped back, the later one can have the earlier
    window."""
    earliest = None if one[1] is None or other[1] is None else min(one[1], other[1])
    return other[0], earliest, max(one[2], other[2]), None, one[4] or other[4]


def _width(one: Step, other: Step) -> float:
    """Return the width of the window of two neighbours."""
    if one[1] is None or other[1] is None:
        return inf
    return max(one[2], other[2]) - min(one[1], other[1])


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
