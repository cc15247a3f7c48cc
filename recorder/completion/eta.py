"""Estimate when an open episode will end: three quantiles, from its own pace or from similar episodes.

Pace: with j runs left, the next one finishes at a rate proportional to j to the power of an exponent (a
pure death process). Exponent 0 is work at a constant rate; 1/2 is runs that began together and whose
durations thin out linearly towards the longest; 1 is runs without memory. The rate is that of the second half
of the finished runs, and each quantile has its own exponent.

Cohort: the Kaplan-Meier quantiles of the cohort's durations, given that they exceed the time elapsed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from math import exp, pow, sqrt
from statistics import NormalDist
from typing import Any, Literal, Protocol

from recorder.completion.progress import ProgressMarks
from recorder.ledger.timestamps import format_time
from recorder.ledger.value_class import value_class

FEWEST_FINISHED = 10
FEWEST_FINISHED_SHARE = 0.2
FEWEST_LONGER = 10

_QUANTILES = (0.10, 0.50, 0.90)
# For p10, p50 and p90, chosen like the spread with benchmarks/eta_backtest.py: p10 is close to work at a
# constant rate, which ends soonest, and p90 is for runs that thin out.
_EXPONENTS = (0.05, 0.42, 0.50)
_DEVIATIONS = tuple(map(NormalDist().inv_cdf, _QUANTILES))
_SPREAD = 0.5
"""The fraction of a pure death process's spread that is used: the runs of one group vary less than that."""

EstimateBasis = Literal["pace", "cohort"]
_Seconds = tuple[float, float, float]


@value_class
class Estimate:
    """The times before which the episode ends with a probability of 10, 50 and 90 %, as aware datetimes."""

    p10: datetime
    p50: datetime
    p90: datetime
    basis: EstimateBasis


@value_class
class NoEstimate:
    """No estimate is available; `reason` is for people."""

    reason: str


@value_class
class WorkSoFar:
    """The progress of an open episode, started at `started_at`, last seen clearly at `seen_at` (both aware).

    `blocked`: all remaining runs wait for action.
    """

    started_at: datetime
    seen_at: datetime
    pace: ProgressMarks
    blocked: bool = False


class CohortDurations(Protocol):
    """The durations of similar episodes."""

    def count_longer(self, elapsed_seconds: float) -> int:
        """Return how many completed episodes lasted longer than `elapsed_seconds`."""

    def quantile(self, p: float, elapsed_seconds: float) -> float | None:
        """Return the duration by which the share `p` of the episodes longer than `elapsed_seconds` has ended.

        None if too few have ended to know it.
        """


def estimate(work: WorkSoFar, cohort: CohortDurations | None = None) -> Estimate | NoEstimate:
    """Return when the episode will end, from pace or cohort, whichever gives the narrower range.

    If the two ranges do not overlap, either the episode differs from its cohort or its runs do not behave as
    the pace assumes, and it is unknown which: p50 is that of the pace then, and p10 and p90 span both.
    """
    by_pace = from_pace(work)
    by_cohort = NoEstimate("there is no cohort") if cohort is None else from_cohort(work, cohort)
    if isinstance(by_cohort, NoEstimate):
        return by_pace
    if isinstance(by_pace, NoEstimate):
        return by_cohort
    if by_cohort.p10 > by_pace.p90 or by_pace.p10 > by_cohort.p90:
        p10, p90 = min(by_pace.p10, by_cohort.p10), max(by_pace.p90, by_cohort.p90)
        return replace(by_pace, p10=p10, p90=p90)
    return min(by_cohort, by_pace, key=lambda basis: basis.p90 - basis.p10)


def from_pace(work: WorkSoFar) -> Estimate | NoEstimate:
    """Return when the episode will end if its runs keep finishing at their recent pace."""
    reason = _doubt(work) or _too_little(work.pace)
    return NoEstimate(reason) if reason else _at(work, _pace_seconds(work), "pace")


def from_cohort(work: WorkSoFar, cohort: CohortDurations) -> Estimate | NoEstimate:
    """Return when the episode will end if it belongs to `cohort`."""
    reason = _doubt(work)
    elapsed = (work.seen_at - work.started_at).total_seconds()
    if reason is None and cohort.count_longer(elapsed) < FEWEST_LONGER:
        reason = f"fewer than {FEWEST_LONGER} episodes of the cohort lasted longer than this one has"
    if reason:
        return NoEstimate(reason)
    p10, p50, p90 = (cohort.quantile(p, elapsed) for p in _QUANTILES)
    if p10 is None or p50 is None or p90 is None:
        return NoEstimate("too many episodes of the cohort are still open")
    return _at(work, (p10 - elapsed, p50 - elapsed, p90 - elapsed), "cohort")


def eta_members(result: Estimate | NoEstimate) -> dict[str, Any]:
    """Return `result` as JSON values: the times as text, or None for all of them and a reason."""
    if isinstance(result, NoEstimate):
        return {"p10": None, "p50": None, "p90": None, "basis": None, "reason": result.reason}
    return {
        "p10": format_time(result.p10),
        "p50": format_time(result.p50),
        "p90": format_time(result.p90),
        "basis": result.basis,
        "reason": None,
    }


def _doubt(work: WorkSoFar) -> str | None:
    """Return why no estimate makes sense, None if one does."""
    pace = work.pace
    if work.blocked:
        return "blocked: the remaining runs wait for action"
    if work.seen_at < work.started_at or (pace.marks and work.seen_at < pace.marks[-1].at):
        return "our clock stepped back"
    if pace.finished is not None and pace.marks and pace.finished != pace.marks[-1].finished:
        return "the count of finished runs decreased, or our clock stepped back"
    if pace.finished is not None and pace.total is not None and pace.finished >= pace.total:
        return "the counts show no run left, although the group is active"
    return None


def _too_little(pace: ProgressMarks) -> str | None:
    """Return why the pace is not enough for an estimate, None if it is."""
    if pace.finished is None or pace.total is None or not pace.marks:
        return "the number of runs, or of finished runs, is not known"
    finished = pace.finished - pace.marks[0].finished
    if finished < FEWEST_FINISHED:
        return f"fewer than {FEWEST_FINISHED} runs were seen to finish in this episode"
    if finished < FEWEST_FINISHED_SHARE * (pace.total - pace.marks[0].finished):
        return f"less than {FEWEST_FINISHED_SHARE:.0%} of the runs of this episode were seen to finish"
    return None


def _pace_seconds(work: WorkSoFar) -> _Seconds:
    """Return the quantiles of the time left, from a pace that is enough for them."""
    newest = work.pace.marks[-1]
    remaining = (work.pace.total or 0) - newest.finished
    finished = (newest.finished - work.pace.marks[0].finished) / 2
    stretches = _recent(work, remaining)
    spread = _SPREAD * sqrt(1 / finished + 1 / remaining)

    def left(deviation: float, exponent: float) -> float:
        exposure = sum(seconds * pow(runs, exponent) for seconds, runs in stretches)
        mean = exposure / finished * _power_sum(remaining, exponent)
        return mean * exp(deviation * spread)

    p10, p50, p90 = map(left, _DEVIATIONS, _EXPONENTS)
    return p10, p50, p90


def _recent(work: WorkSoFar, remaining: int) -> list[tuple[float, float]]:
    """Return (seconds, mean number of runs left) of each stretch in which the second half of the finished
    runs finished.

    The count is assumed to rise evenly between two marks, and not at all since the last one.
    """
    marks = work.pace.marks
    newest = marks[-1]
    half = (newest.finished - marks[0].finished) / 2
    points = [((mark.at - newest.at).total_seconds(), newest.finished - mark.finished) for mark in marks]
    stretches = [((work.seen_at - newest.at).total_seconds(), float(remaining))]
    for (start, left), (end, right) in pairwise(points):
        if right < half:
            part = min(1.0, (half - right) / (left - right))
            stretches.append((part * (end - start), remaining + (right + min(left, half)) / 2))
    return stretches


def _power_sum(count: int, exponent: float) -> float:
    """Return the sum of j ** -exponent for j = 1 to `count`, as an integral (at most 4 % off)."""
    power = 1 - exponent
    return (pow(count + 0.5, power) - pow(0.5, power)) / power


def _at(work: WorkSoFar, left: _Seconds, basis: EstimateBasis) -> Estimate | NoEstimate:
    try:
        p10, p50, p90 = (work.seen_at + timedelta(seconds=seconds) for seconds in left)
    except OverflowError:
        return NoEstimate("the estimate is too far in the future to have a date")
    return Estimate(p10, p50, p90, basis)
