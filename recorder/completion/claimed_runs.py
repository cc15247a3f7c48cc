"""What the upstream's claims about single runs add up to, and where they contradict what was seen. Pure.

Every time in here is a claim of the upstream, and no observation.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recorder.completion.milestones import PERCENTAGES, needed_runs
from recorder.completion.statistics import QUANTILES, Durations, statistics_of
from recorder.ledger.status_fields import FINISHED_STATUSES
from recorder.ledger.timestamps import format_time

MOST_CURVE_STEPS = 200
"""The maximum number of steps of a curve; of more, evenly spaced ones are taken."""
MOST_FINDINGS = 100
RUNNING = "running"


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run of a snapshot. What was not told, or not as documented, is None."""

    processor: str | None
    status: str | None
    created_at: datetime | None
    modified_at: datetime | None

    @property
    def finished_at(self) -> datetime | None:
        """When it finished: its last change, if it has finished."""
        return self.modified_at if self.status in FINISHED_STATUSES else None

    @property
    def lasted(self) -> float | None:
        """The seconds from its creation to its last change; None if one is unknown, or they are reversed."""
        if self.created_at is None or self.modified_at is None or self.modified_at < self.created_at:
            return None
        return (self.modified_at - self.created_at).total_seconds()

    @property
    def duration(self) -> float | None:
        """How long it took, in seconds, if it has finished."""
        return self.lasted if self.status in FINISHED_STATUSES else None

    @property
    def wait(self) -> float | None:
        """How long it was queued, in seconds, if it is running."""
        return self.lasted if self.status == RUNNING else None

    def so_far(self, taken_at: datetime) -> float | None:
        """The seconds from its creation to the snapshot."""
        return None if self.created_at is None else max(0.0, (taken_at - self.created_at).total_seconds())


@dataclass(frozen=True, slots=True)
class FinishedSight:
    """An interval in which `finished` runs of `total` had finished.

    The first response came at `observed_at`; the last was to a request sent at `last_asked_at`.
    """

    seq: int
    observed_at: datetime
    last_asked_at: datetime
    finished: int
    total: int | None


def processors_of(runs: Sequence[ClaimedRun], taken_at: datetime) -> list[dict[str, Any]]:
    """Return the durations and waits of runs by processor, as JSON values.

    A duration is that of a finished run, from its creation to its last change; runs that have not finished
    count as longer than up to the snapshot. A wait is the time that a run which is running was queued; runs
    that are queued count as longer. How long a finished run was queued is not told.
    """
    by_processor: dict[str | None, list[ClaimedRun]] = defaultdict(list)
    for run in runs:
        by_processor[run.processor].append(run)
    return [
        {
            "processor": processor,
            "runs": len(some),
            "finished": sum(run.status in FINISHED_STATUSES for run in some),
            "durations": _statistics(_durations(some, taken_at)),
            "waits": _statistics(_waits(some, taken_at)),
        }
        for processor, some in sorted(by_processor.items(), key=lambda item: (item[0] is None, item[0] or ""))
    ]


def curve_of(runs: Sequence[ClaimedRun]) -> list[dict[str, Any]]:
    """Return how many runs had finished by when, as JSON values: at most MOST_CURVE_STEPS times."""
    moments = _finish_times(runs)
    rises = [
        (moment, count)
        for count, moment in enumerate(moments, 1)
        if count == len(moments) or moments[count] > moment
    ]
    if (last := len(rises) - 1) >= MOST_CURVE_STEPS:
        rises = [rises[last * step // (MOST_CURVE_STEPS - 1)] for step in range(MOST_CURVE_STEPS)]
    return [
        {"claimed_at": format_time(moment), "finished": count, "fraction": count / len(runs)}
        for moment, count in rises
    ]


def claimed_milestones(runs: Sequence[ClaimedRun]) -> list[dict[str, Any]]:
    """Return when certain shares of the runs had finished, as JSON values; None where they have not."""
    moments = _finish_times(runs)
    found = []
    for percentage in PERCENTAGES if runs else ():
        needed = needed_runs(percentage, len(runs))
        at = format_time(moments[needed - 1]) if needed <= len(moments) else None
        found.append({"fraction": percentage / 100, "runs": needed, "claimed_at": at})
    return found


def contradictions(
    runs: Sequence[ClaimedRun], sights: Iterable[FinishedSight], asked_at: datetime, taken_at: datetime
) -> list[dict[str, Any]]:
    """Return where claims contradict themselves or what was seen, as JSON values; at most MOST_FINDINGS.

    `problem` is one of: `times_reversed` (last changed before it was created) and `in_the_future` (changed
    after the snapshot), with the number of such runs; `runs_missing` (fewer runs than were seen before the
    snapshot was asked for); `too_late` (more had finished by `observed_at` of entry `seq` than the claims
    say) and `too_early` (fewer had finished by `last_asked_at` than they say). `seconds` is how far the claim
    lies outside, None if there is no such time.
    """
    found = [*_impossible(runs, taken_at), *_outside(_finish_times(runs), len(runs), sights, asked_at)]
    return found[:MOST_FINDINGS]


def _impossible(runs: Sequence[ClaimedRun], taken_at: datetime) -> Iterator[dict[str, Any]]:
    reversed_ = sum(
        run.created_at is not None and run.modified_at is not None and run.modified_at < run.created_at
        for run in runs
    )
    beyond = [run.modified_at for run in runs if run.modified_at is not None and run.modified_at > taken_at]
    if reversed_:
        yield _finding("times_reversed", reversed_)
    if beyond:
        yield _finding("in_the_future", len(beyond), seconds=(max(beyond) - taken_at).total_seconds())


def _outside(
    moments: list[datetime], runs: int, sights: Iterable[FinishedSight], asked_at: datetime
) -> Iterator[dict[str, Any]]:
    before = _rising(sight for sight in sights if sight.observed_at <= asked_at)
    missing = max((sight.total or 0 for sight in before), default=0) - runs
    if missing > 0:
        yield _finding("runs_missing", missing)
    for sight in before:
        # Runs that the snapshot lacks may be among those that were seen to have finished.
        wanted = sight.finished - max(0, missing)
        by_then = bisect_right(moments, sight.observed_at)
        if by_then < wanted:
            late = moments[wanted - 1] if wanted <= len(moments) else None
            seconds = None if late is None else (late - sight.observed_at).total_seconds()
            yield _finding("too_late", wanted - by_then, sight, seconds)
        # A run that finished before a request was sent was counted in the response.
        sooner = bisect_left(moments, sight.last_asked_at)
        if sooner > sight.finished:
            early = moments[sight.finished]
            seconds = (sight.last_asked_at - early).total_seconds()
            yield _finding("too_early", sooner - sight.finished, sight, seconds)


def _rising(sights: Iterable[FinishedSight]) -> list[FinishedSight]:
    """Leave out sights with fewer finished runs than an earlier one: they tell of an older state."""
    kept: list[FinishedSight] = []
    for sight in sights:
        if not kept or sight.finished >= kept[-1].finished:
            kept.append(sight)
    return kept


def _finding(
    problem: str, runs: int, sight: FinishedSight | None = None, seconds: float | None = None
) -> dict[str, Any]:
    return {"problem": problem, "seq": None if sight is None else sight.seq, "runs": runs, "seconds": seconds}


def _finish_times(runs: Iterable[ClaimedRun]) -> list[datetime]:
    return sorted(moment for run in runs if (moment := run.finished_at) is not None)


def _durations(runs: Iterable[ClaimedRun], taken_at: datetime) -> Iterator[tuple[float, bool]]:
    for run in runs:
        is_finished = run.status in FINISHED_STATUSES
        if (seconds := run.duration if is_finished else run.so_far(taken_at)) is not None:
            yield seconds, not is_finished


def _waits(runs: Iterable[ClaimedRun], taken_at: datetime) -> Iterator[tuple[float, bool]]:
    for run in runs:
        if (seconds := run.wait) is not None:
            yield seconds, False
        elif run.status == "queued" and (seconds := run.so_far(taken_at)) is not None:
            yield seconds, True


def _statistics(durations: Iterable[tuple[float, bool]]) -> dict[str, Any]:
    rows = [(seconds, seconds, None if longer else seconds, longer) for seconds, longer in durations]
    statistics = statistics_of(Durations.of(rows))
    shown = {"runs": statistics.pop("episodes"), **statistics}
    for name in QUANTILES:
        # Claims have no bounds.
        del shown[name]["bounds"]
    return shown
