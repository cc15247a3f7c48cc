"""The types of responses about completion."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from api.schemas.common import Eta, TimeText
from recorder.completion.episodes import Outcome
from recorder.completion.time_bounds import Basis
from recorder.ledger.status_fields import RUN_STATUSES

Earliest = Annotated[TimeText | None, Field(description="the lower bound, UTC; null if there is none")]


class MomentMembers(BaseModel):
    """When something happened between two observations."""

    at: TimeText = Field(description="the best guess, UTC")
    earliest: Earliest
    latest: TimeText = Field(description="the upper bound, UTC")
    basis: Basis = Field(description="what the guess is based on")


class Runs(BaseModel):
    """A group's counts at one observation; null where not reported."""

    total: int | None = Field(description="all runs")
    completed: int | None = Field(description="runs that have completed")
    failed: int | None = Field(description="runs that have failed")
    cancelled: int | None = Field(description="runs that were cancelled")


class MilestoneMembers(BaseModel):
    """When a share of an episode's runs had finished; nulls as long as it has not."""

    fraction: float = Field(description="the share: 0.5, 0.9, 0.95, 0.99 or 1")
    runs: int | None = Field(description="how many of the runs that is, rounded up; null if unknown")
    at: TimeText | None = Field(description="the best guess, UTC")
    earliest: Earliest
    latest: TimeText | None = Field(description="the upper bound, UTC")
    basis: Basis | None = Field(description="what the guess is based on")
    seconds: float | None = Field(description="from started.at to at, in seconds")
    seconds_earliest: float | None = Field(description="the lower bound, in seconds; null if unknown")
    seconds_latest: float | None = Field(description="the upper bound, in seconds; null if unbounded")


class EpisodeMembers(BaseModel):
    """One period of work, from when the group becomes active until it is settled."""

    number: int = Field(description="counting from 1")
    started: MomentMembers
    completed: MomentMembers | None = Field(description="null while it is open")
    outcome: Outcome | None = Field(description="how its runs finished; null while it is open")
    duration_seconds: float = Field(
        description="from started.at to completed.at, in seconds; while open, so far"
    )
    duration_earliest_seconds: float | None = Field(
        description="the shortest possible duration, in seconds; null if unknown"
    )
    duration_latest_seconds: float | None = Field(
        description="the longest possible duration, in seconds; null if unbounded"
    )
    censored: bool = Field(description="whether it is still open, and so lasts longer than duration_seconds")
    first_sight: bool = Field(description="whether the group was already in it, or past it, when first seen")
    runs: Runs
    gap_seconds: float = Field(description="how much of it was in gaps, in seconds")
    polls: int = Field(description="the number of responses from the opening observation to the ending one")
    milestones: list[MilestoneMembers] | None = Field(
        description="when 50, 90, 95, 99 and 100 % of its runs had finished; null unless it is one of the "
        "group's 100 newest episodes"
    )


_RUN_SECONDS: dict[str, Any] = {status: (float, Field(description="in seconds")) for status in RUN_STATUSES}
RunSeconds = create_model(
    "RunSeconds",
    __doc__="How long runs were seen in each status, summed over the runs.",
    __module__=__name__,
    **_RUN_SECONDS,
)


class DwellSeconds(BaseModel):
    """How long the group was seen in each phase."""

    active: float = Field(description="in seconds")
    blocked: float = Field(description="in seconds")
    empty: float = Field(description="in seconds")
    settled: float = Field(description="in seconds")
    unclear: float = Field(description="in seconds")


class GroupCompletion(BaseModel):
    """A group's episodes, and how its time was spent; gaps and unwatched time are left out."""

    episodes: list[EpisodeMembers] = Field(description="oldest first; only the last can be open")
    run_seconds: RunSeconds
    dwell_seconds: DwellSeconds
    eta: Eta


class Quantile(BaseModel):
    """A Kaplan-Meier quantile of durations: open episodes count for as long as they were seen."""

    seconds: float | None = Field(description="in seconds; null if too few episodes are over")
    ci95: list[float | None] = Field(
        min_length=2,
        max_length=2,
        description="its 95 % confidence interval, in seconds; an end is null where the band does not reach",
    )
    bounds: list[float | None] = Field(
        min_length=2,
        max_length=2,
        description="the least and the greatest value of the quantile, wherever each duration lies within "
        "its own bounds, in seconds; null means unbounded",
    )


class Statistics(BaseModel):
    """How long the episodes of a cohort lasted."""

    key: str | int | float | bool | None = Field(
        description="the value grouped by; null for groups without one, and without group_by"
    )
    episodes: int = Field(description="the number of episodes")
    completed: int = Field(description="the number of finished episodes")
    censored: int = Field(
        description="the number of open episodes, which count as longer than their duration so far"
    )
    p50: Quantile
    p90: Quantile
    p95: Quantile
    p99: Quantile
    min_seconds: float | None = Field(description="the shortest completed duration, in seconds")
    max_seconds: float | None = Field(description="the longest completed duration, in seconds")
    completed_mean_seconds: float | None = Field(
        description="the mean of the completed durations, in seconds; too short for all episodes while some "
        "are open"
    )


class Difference(BaseModel):
    """How a quantile of the first item differs from that of the second: first minus second."""

    seconds: float | None = Field(description="in seconds; null if either quantile is unknown")
    ci95: list[float | None] = Field(
        min_length=2,
        max_length=2,
        description="its 95 % confidence interval, in seconds; an end is null where it is unknown",
    )
    bounds: list[float | None] = Field(
        min_length=2,
        max_length=2,
        description="the least and the greatest difference that the bounds of the quantiles allow, in "
        "seconds; null means unbounded",
    )


class Differences(BaseModel):
    """The differences of the quantiles."""

    p50: Difference
    p90: Difference
    p95: Difference
    p99: Difference


class LogRankTest(BaseModel):
    """A log-rank test of whether both durations can be of one distribution."""

    statistic: float = Field(description="chi-squared, with one degree of freedom")
    p_value: float = Field(description="how likely a statistic at least as large is if they are")


class Comparison(BaseModel):
    """How the episodes of the first item differ from those of the second."""

    differences: Differences
    log_rank: LogRankTest | None = Field(
        description="null if none ended while any of the other item were still running"
    )


class CompletionStatistics(BaseModel):
    """Statistics of the selected episodes."""

    as_of: TimeText | None = Field(description="the newest response used, UTC; null without episodes")
    items: list[Statistics] = Field(
        description="one per cohort; exactly one without group_by, and two with compare"
    )
    comparison: Comparison | None = Field(None, description="only with compare")


class CurvePoint(BaseModel):
    """A step of the curve, valid until the next one."""

    seconds: float = Field(description="the duration, in seconds")
    surviving: float = Field(description="the share of episodes that last longer")
    low: float | None = Field(description="the lower end of its 95 % band; null where nothing survives")
    high: float | None = Field(description="the upper end of its 95 % band; null where nothing survives")
    surviving_least: float = Field(
        description="the least share that can survive, wherever each duration lies within its own bounds"
    )
    surviving_most: float = Field(description="the greatest share that can survive, likewise")
    at_risk: int = Field(description="the number of episodes not over just before")


class Curve(BaseModel):
    """A Kaplan-Meier curve."""

    as_of: TimeText | None = Field(description="the newest response used, UTC; null without episodes")
    items: list[CurvePoint] = Field(description="the steps, shortest duration first; empty without episodes")
