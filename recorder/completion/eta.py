"""When an open episode will end: three quantiles, told from its own pace or from a cohort of like episodes.

Own pace: where j runs are left, the next one is taken to finish at a rate that goes with j to the power of
an exponent (a pure death process). Exponent 0 is work at a constant rate; 1/2 is runs that began together
and whose durations thin out linearly towards the longest; 1 is runs that each go on without any memory.
The rate is that of the latter half of the finished runs, and the quantiles differ in their exponent.

Cohort: the Kaplan-Meier quantiles of the cohort's durations, given that they exceed the time elapsed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from math import exp, pow, sqrt
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recorder.completion.kaplan_meier import SurvivalCurve, kaplan_meier
from recorder.completion.progress import ProgressMarks
from recorder.ledger.timestamps import format_time

FEWEST_FINISHED = 10
FEWEST_FINISHED_SHARE = 0.2
FEWEST_LONGER = 10

_QUANTILES = (0.10, 0.50, 0.90)
# Of p10, p50 and p90, chosen with benchmarks/eta_backtest.py like the spread: p10 keeps near work at a
# constant rate, which ends soonest, and p90 stands for runs that thin out.
_EXPONENTS = (0.05, 0.42, 0.50)
_SPREAD = 0.5
"""How much of a pure death process's own spread is used: the runs of one group vary less than that."""

_ROUNDING = 1e-12

EstimateBasis = Literal["pace", "cohort"]
_Seconds = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The times before which the episode ends with a probability of 10, 50 and 90 %, as aware datetimes."""

    p10: datetime
    p50: datetime
    p90: datetime
    basis: EstimateBasis


@dataclass(frozen=True, slots=True)
class NoEstimate:
    """There is no telling, and why, in words."""

    reason: str


@dataclass(frozen=True, slots=True)
class WorkSoFar:
    """Where an open episode stands: begun at `started_at`, last seen clearly at `seen_at` (both aware).

    `blocked`: all runs that are left wait for action.
    """

    started_at: datetime
    seen_at: datetime
    pace: ProgressMarks
    blocked: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CohortCurve:
    """Durations of like episodes, made ready once for any number of estimates; see `of`."""

    curve: SurvivalCurve
    completed: NDArray[np.float64]

    @classmethod
    def of(cls, seconds: NDArray[np.float64], completed: NDArray[np.bool_]) -> CohortCurve:
        """Return the cohort of these durations; one that is not `completed` lasts longer than `seconds`."""
        return cls(kaplan_meier(seconds, completed), np.sort(seconds[completed]))

    def count_longer(self, elapsed_seconds: float) -> int:
        """Return how many completed ones lasted longer than `elapsed_seconds`."""
        return len(self.completed) - int(np.searchsorted(self.completed, elapsed_seconds, side="right"))

    def quantile(self, p: float, elapsed_seconds: float) -> float | None:
        """Return the duration by which the share `p` of those longer than `elapsed_seconds` has ended.

        It is the first t with S(t) / S(elapsed) <= 1 - p, None where the curve does not get there.
        """
        passed = int(np.searchsorted(self.curve.seconds, elapsed_seconds, side="right"))
        share = self.curve.surviving[passed - 1] if passed else 1.0
        sought = (1 - p + _ROUNDING) * share
        later = passed + int(np.searchsorted(-self.curve.surviving[passed:], -sought))
        return float(self.curve.seconds[later]) if later < len(self.curve.seconds) else None


def estimate(standing: WorkSoFar, cohort: CohortCurve | None = None) -> Estimate | NoEstimate:
    """Return when the episode will end, from the narrower of both bases.

    Where the two do not overlap, the episode is not like its cohort or its runs are not like any that the
    pace allows for, and nothing tells which: p50 is that of the pace, p10 and p90 span both.
    """
    by_pace = from_pace(standing)
    by_cohort = NoEstimate("there is no cohort") if cohort is None else from_cohort(standing, cohort)
    if isinstance(by_cohort, NoEstimate):
        return by_pace
    if isinstance(by_pace, NoEstimate):
        return by_cohort
    if by_cohort.p10 > by_pace.p90 or by_pace.p10 > by_cohort.p90:
        p10, p90 = min(by_pace.p10, by_cohort.p10), max(by_pace.p90, by_cohort.p90)
        return replace(by_pace, p10=p10, p90=p90)
    return min(by_cohort, by_pace, key=lambda basis: basis.p90 - basis.p10)


def from_pace(standing: WorkSoFar) -> Estimate | NoEstimate:
    """Return when the episode will end if its runs go on finishing as they lately did."""
    reason = _doubt(standing) or _too_little(standing.pace)
    return NoEstimate(reason) if reason else _at(standing, _pace_seconds(standing), "pace")


def from_cohort(standing: WorkSoFar, cohort: CohortCurve) -> Estimate | NoEstimate:
    """Return when the episode will end if it is one of `cohort`."""
    reason = _doubt(standing)
    elapsed = (standing.seen_at - standing.started_at).total_seconds()
    if reason is None and cohort.count_longer(elapsed) < FEWEST_LONGER:
        reason = f"fewer than {FEWEST_LONGER} episodes of the cohort lasted longer than this one has"
    if reason:
        return NoEstimate(reason)
    p10, p50, p90 = (cohort.quantile(p, elapsed) for p in _QUANTILES)
    if p10 is None or p50 is None or p90 is None:
        return NoEstimate("too many episodes of the cohort are not over yet")
    return _at(standing, (p10 - elapsed, p50 - elapsed, p90 - elapsed), "cohort")


def eta_members(result: Estimate | NoEstimate) -> dict[str, Any]:
    """Return `result` as JSON values: times as text, or all None with a reason."""
    if isinstance(result, NoEstimate):
        return {"p10": None, "p50": None, "p90": None, "basis": None, "reason": result.reason}
    return {
        "p10": format_time(result.p10),
        "p50": format_time(result.p50),
        "p90": format_time(result.p90),
        "basis": result.basis,
        "reason": None,
    }


def _doubt(standing: WorkSoFar) -> str | None:
    """Return what makes any estimate void, None if nothing does."""
    pace = standing.pace
    if standing.blocked:
        return "blocked: the runs that are left wait for action"
    if standing.seen_at < standing.started_at or (pace.marks and standing.seen_at < pace.marks[-1].at):
        return "our clock went back"
    if pace.finished is not None and pace.marks and pace.finished != pace.marks[-1].finished:
        return "the count of finished runs, or our clock, went back"
    if pace.finished is not None and pace.total is not None and pace.finished >= pace.total:
        return "no run is left by the counts, though the group is active"
    return None


def _too_little(pace: ProgressMarks) -> str | None:
    """Return why the pace does not suffice for an estimate, None if it does."""
    if pace.finished is None or pace.total is None or not pace.marks:
        return "how many runs have finished, or how many there are, is not known"
    finished = pace.finished - pace.marks[0].finished
    if finished < FEWEST_FINISHED:
        return f"fewer than {FEWEST_FINISHED} runs were seen to finish in this episode"
    if finished < FEWEST_FINISHED_SHARE * (pace.total - pace.marks[0].finished):
        return f"less than {FEWEST_FINISHED_SHARE:.0%} of the runs of this episode were seen to finish"
    return None


def _pace_seconds(standing: WorkSoFar) -> _Seconds:
    """Return the quantiles of the time left, for a pace with enough in it."""
    newest = standing.pace.marks[-1]
    remaining = (standing.pace.total or 0) - newest.finished
    finished = (newest.finished - standing.pace.marks[0].finished) / 2
    stretches = _recent(standing, remaining)
    spread = _SPREAD * sqrt(1 / finished + 1 / remaining)

    def left(p: float, exponent: float) -> float:
        exposure = sum(seconds * pow(runs, exponent) for seconds, runs in stretches)
        mean = exposure / finished * _power_sum(remaining, exponent)
        return mean * exp(NormalDist().inv_cdf(p) * spread)

    p10, p50, p90 = map(left, _QUANTILES, _EXPONENTS)
    return p10, p50, p90


def _recent(standing: WorkSoFar, remaining: int) -> list[tuple[float, float]]:
    """Return (seconds, mean number of runs left) of the stretches since half of the finished ones had.

    Between two marks the count is taken to rise evenly; since the last mark it stood still.
    """
    marks = standing.pace.marks
    newest = marks[-1]
    half = (newest.finished - marks[0].finished) / 2
    points = [((mark.at - newest.at).total_seconds(), newest.finished - mark.finished) for mark in marks]
    stretches = [((standing.seen_at - newest.at).total_seconds(), float(remaining))]
    for (start, left), (end, right) in pairwise(points):
        if right < half:
            part = min(1.0, (half - right) / (left - right))
            stretches.append((part * (end - start), remaining + (right + min(left, half)) / 2))
    return stretches


def _power_sum(count: int, exponent: float) -> float:
    """Return the sum of j ** -exponent over j = 1 to `count`, by the integral (off by 4 % at the most)."""
    power = 1 - exponent
    return (pow(count + 0.5, power) - pow(0.5, power)) / power


def _at(standing: WorkSoFar, left: _Seconds, basis: EstimateBasis) -> Estimate | NoEstimate:
    try:
        p10, p50, p90 = (standing.seen_at + timedelta(seconds=seconds) for seconds in left)
    except OverflowError:
        return NoEstimate("so far off that it has no date")
    return Estimate(p10, p50, p90, basis)
