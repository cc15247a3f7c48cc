"""The types of the answers about completion."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, create_model

from api.schemas.common import Eta, TimeText
from recorder.completion.episodes import Outcome
from recorder.completion.time_bounds import Basis
from recorder.ledger.status_fields import RUN_STATUSES


class MomentMembers(BaseModel):
    """When something happened that nobody saw happen."""

    at: TimeText = Field(description="the best guess, UTC")
    earliest: TimeText | None = Field(description="not before, UTC; null if nothing bounds it")
    latest: TimeText = Field(description="not after, UTC")
    basis: Basis = Field(description="what the guess rests on")


class Runs(BaseModel):
    """A group's counts at one observation; null where it did not say."""

    total: int | None = Field(description="runs in all")
    completed: int | None = Field(description="runs that have completed")
    failed: int | None = Field(description="runs that have failed")
    cancelled: int | None = Field(description="runs that were cancelled")


class EpisodeMembers(BaseModel):
    """One stretch of work, from the group's becoming active to its being settled."""

    number: int = Field(description="from 1")
    started: MomentMembers
    completed: MomentMembers | None = Field(description="null while it is open")
    outcome: Outcome | None = Field(description="how its runs finished; null while it is open")
    duration_seconds: float = Field(description="from started.at to completed.at, or so far, in seconds")
    duration_earliest_seconds: float | None = Field(description="at least, in seconds")
    duration_latest_seconds: float | None = Field(description="at most, in seconds; null if unbounded")
    censored: bool = Field(description="still open: it is known to last longer than duration_seconds")
    first_sight: bool = Field(description="the group was already in it, or past it, when first seen")
    runs: Runs
    gap_seconds: float = Field(description="how much of it fell into gaps, in seconds")
    polls: int = Field(description="responses from the opening observation to the ending one")


_RUN_SECONDS: dict[str, Any] = {status: (float, Field(description="in seconds")) for status in RUN_STATUSES}
RunSeconds = create_model(
    "RunSeconds",
    __doc__="Seconds that runs were seen in each status, summed over the runs.",
    __module__=__name__,
    **_RUN_SECONDS,
)


class DwellSeconds(BaseModel):
    """Seconds that the group was seen in each phase."""

    active: float = Field(description="in seconds")
    blocked: float = Field(description="in seconds")
    empty: float = Field(description="in seconds")
    settled: float = Field(description="in seconds")
    unclear: float = Field(description="in seconds")


class GroupCompletion(BaseModel):
    """A group's episodes, and where its time went; gaps and unwatched time are left out."""

    episodes: list[EpisodeMembers] = Field(description="oldest first; only the last may be open")
    run_seconds: RunSeconds
    dwell_seconds: DwellSeconds
    eta: Eta


class Quantile(BaseModel):
    """A quantile of durations, by Kaplan and Meier: open episodes count for as long as they were seen."""

    seconds: float | None = Field(description="in seconds; null where not enough episodes are over to tell")
    ci95: list[float | None] = Field(
        min_length=2,
        max_length=2,
        description="its 95 % confidence interval, in seconds; an end is null where the band does not reach",
    )
    bounds: list[float | None] = Field(
        min_length=2,
        max_length=2,
        description="the same quantile of the shortest and of the longest that the durations can have been, "
        "in seconds; null is unbounded",
    )


class Statistics(BaseModel):
    """How long the episodes of a cohort lasted."""

    key: str | int | float | bool | None = Field(
        description="the value grouped by; null where there is none, and without group_by"
    )
    episodes: int = Field(description="in all")
    completed: int = Field(description="those that are over")
    censored: int = Field(description="those still open: known to last longer, and counted so")
    p50: Quantile
    p90: Quantile
    p95: Quantile
    p99: Quantile
    min_seconds: float | None = Field(description="of the completed ones, in seconds")
    max_seconds: float | None = Field(description="of the completed ones, in seconds")
    completed_mean_seconds: float | None = Field(
        description="of the completed ones, in seconds: too short for all as long as others are open"
    )


class CompletionStatistics(BaseModel):
    """Statistics of the episodes selected."""

    as_of: TimeText | None = Field(description="the newest response that any of it rests on, UTC")
    items: list[Statistics] = Field(description="a cohort each; without group_by exactly one")


class CurvePoint(BaseModel):
    """A step of the curve: what holds from here until the next one."""

    seconds: float = Field(description="the duration, in seconds")
    surviving: float = Field(description="the share of episodes that lasts longer")
    low: float | None = Field(description="of its 95 % band; null where nothing survives")
    high: float | None = Field(description="of its 95 % band; null where nothing survives")
    at_risk: int = Field(description="episodes that were not over just before")


class Curve(BaseModel):
    """A Kaplan-Meier curve."""

    as_of: TimeText | None = Field(description="the newest response that any of it rests on, UTC")
    items: list[CurvePoint] = Field(description="the steps, shortest duration first; none without episodes")
