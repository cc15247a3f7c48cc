"""Polling a quiet group more often while its end may be near, if there are polls to spare. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import Phase
from recorder.ledger.timestamps import parse_upstream_time
from recorder.ledger.watch import Watch
from recorder.polling.schedule import Intervals

APPROACH = 4
"""By which part of the time that is left until its expected end a group is polled again."""
QUIET_SHARE = 12
"""By which part of its quiet time a group is polled again after that, or while its only run goes on."""
FEWEST_OF_COHORT = 10
"""So many groups of its cohort must have taken longer than a group has, for these to say when it may end."""
WORTH_SHARE = 0.03
"""A group is polled again once the chance that it ended since the last poll, times the time since then, is
this share of the poll interval. For ends that come with a constant chance, spending polls like this makes
the mean delay as short as so many polls can."""
WAIT_STEP = 1.25
"""Waits are tried in steps of this factor."""
SAVED_SECONDS = 10.0
"""For how long spare polls are saved up."""


@dataclass(frozen=True, slots=True)
class Work:
    """What an active group has done: `finished` runs since `began_at`, the last of them at `changed_at`."""

    began_at: datetime
    changed_at: datetime
    finished: int
    remaining: int

    @property
    def expected_end(self) -> datetime | None:
        """When the remaining runs will have finished at the pace so far; None if that is not known."""
        if self.finished <= 0 or self.remaining <= 0:
            return None
        return self.changed_at + (self.changed_at - self.began_at) * (self.remaining / self.finished)


def work_of(watch: Watch, body: ResponseBody) -> Work | None:
    """Return the work of a group with this body, None if it is not active or its runs are not known."""
    known, total = watch.in_force, body.value["status"].get("num_task_runs")
    if known is None or known.phase is not Phase.ACTIVE or known.finished is None or type(total) is not int:
        return None
    began_at = parse_upstream_time(body.value.get("created_at")) or watch.enrolled_at
    changed_at = known.quiet_since
    return Work(min(began_at, changed_at), changed_at, known.finished, total - known.finished)


def eager_interval(
    work: Work, now: datetime, intervals: Intervals, cohort: Sequence[float] = ()
) -> timedelta | None:
    """Return after which time a group is polled again at the latest if there are polls to spare.

    `cohort` says how many seconds similar groups took, in ascending order. None if nothing says when the
    group may end.
    """
    by_cohort = _wait_by_cohort((now - work.began_at).total_seconds(), cohort, intervals)
    if work.finished == 0 and (by_cohort is not None or work.remaining > 1):
        # Runs that have not begun to finish say less than the cohort, and several of them nothing.
        return by_cohort
    wait = (now - work.changed_at) / QUIET_SHARE
    if work.expected_end is not None:
        wait = max(wait, (work.expected_end - now) / APPROACH)
    by_pace = max(wait, intervals.poll_interval)
    return by_pace if by_cohort is None else min(by_pace, by_cohort)


def _wait_by_cohort(elapsed: float, cohort: Sequence[float], intervals: Intervals) -> timedelta | None:
    """Return the shortest wait that is worth a poll, given that the group has taken `elapsed` seconds so far.

    None if too few of the cohort took longer.
    """
    ended = bisect_right(cohort, elapsed)
    longer = len(cohort) - ended
    if longer < FEWEST_OF_COHORT:
        return None
    wait, longest = intervals.poll_interval, max(intervals.poll_interval, intervals.max_interval)
    worth = WORTH_SHARE * intervals.poll_interval
    while wait < longest:
        chance = (bisect_right(cohort, elapsed + wait.total_seconds()) - ended) / longer
        if wait * chance >= worth:
            break
        wait *= WAIT_STEP
    return min(wait, longest)


class SparePolls:
    """Grants polls beyond those that the groups need, as many per second as the last `refresh` said.

    `steady` times are readings of a clock that is never set, in seconds.
    """

    def __init__(self) -> None:
        self._per_second = 0.0
        self._saved = 0.0
        self._counted_until = 0.0

    def refresh(self, per_second: float) -> None:
        """Set how many there are per second."""
        self._per_second = per_second

    def take(self, polls: float, steady: float) -> bool:
        """Take `polls`, or a part of one, if there are so many."""
        passed = max(0.0, steady - self._counted_until)
        self._counted_until = steady
        self._saved = min(self._per_second * SAVED_SECONDS, self._saved + self._per_second * passed)
        if polls > self._saved:
            return False
        self._saved -= polls
        return True
