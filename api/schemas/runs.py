"""The types of responses about single runs: claims of the provider, of which nothing was seen."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.common import Digest, NextPage, TaskgroupId, TimeText


class RunSnapshotMembers(BaseModel):
    """When the provider told about the runs, and the entry of the ledger that fixes what it said."""

    seq: int = Field(description="the number of the entry whose note has the digest")
    asked_at: TimeText = Field(description="when the provider was asked, UTC")
    taken_at: TimeText = Field(description="when its answer was complete, UTC")
    runs: int = Field(description="how many runs it told about")
    digest: Digest = Field(description="the SHA-256 of what it said")


class ClaimedMilestone(BaseModel):
    """When a share of the runs had finished, as the provider claims."""

    fraction: float = Field(description="the share of the runs")
    runs: int = Field(description="how many runs that is")
    claimed_at: TimeText | None = Field(description="when they had finished, UTC; null if fewer have")


class ClaimedStep(BaseModel):
    """How many runs had finished by a time, as the provider claims."""

    claimed_at: TimeText = Field(description="the time, UTC")
    finished: int = Field(description="the number of runs that had finished by then")
    fraction: float = Field(description="their share of all runs")


class ClaimedQuantile(BaseModel):
    """A Kaplan-Meier quantile: what is not over counts as longer than until the snapshot."""

    seconds: float | None = Field(description="in seconds; null if too few are over")
    ci95: list[float | None] = Field(
        min_length=2,
        max_length=2,
        description="its 95 % confidence interval, in seconds; an end is null where the band does not reach",
    )


class ClaimedTimes(BaseModel):
    """How long something took, as the provider claims."""

    runs: int = Field(description="the number of runs that this is known of")
    completed: int = Field(description="how many of them are over it")
    censored: int = Field(description="how many are not, which count as longer than until the snapshot")
    p50: ClaimedQuantile
    p90: ClaimedQuantile
    p95: ClaimedQuantile
    p99: ClaimedQuantile
    min_seconds: float | None = Field(description="the shortest, in seconds")
    max_seconds: float | None = Field(description="the longest, in seconds")
    completed_mean_seconds: float | None = Field(description="the mean of those that are over, in seconds")


class ClaimedProcessor(BaseModel):
    """The runs on one processor."""

    processor: str | None = Field(description="its name; null for runs without one")
    runs: int = Field(description="how many runs")
    finished: int = Field(description="how many of them have completed, failed or been cancelled")
    durations: ClaimedTimes = Field(description="from the creation of a run to its last change")
    waits: ClaimedTimes = Field(description="in the queue; of finished runs the provider does not tell it")


class ClaimFinding(BaseModel):
    """Where claims contradict themselves or what was seen."""

    problem: Literal["times_reversed", "in_the_future", "runs_missing", "too_late", "too_early"] = Field(
        description="times_reversed: runs changed before they were created; in_the_future: runs changed "
        "after the snapshot; runs_missing: fewer runs than were seen; too_late, too_early: runs finished "
        "later or earlier than an entry's status allows"
    )
    seq: int | None = Field(description="the entry of the ledger that says otherwise; null if none does")
    runs: int = Field(description="how many runs it is about")
    seconds: float | None = Field(
        description="how far the first of their times lies outside, in seconds; null if there is no such time"
    )


class ClaimedRunItem(BaseModel):
    """What the provider claimed about a run; null is what it did not tell, or told with another type."""

    run_id: str = Field(description="the id of the run")
    processor: str | None = Field(description="the processor it runs on")
    claimed_status: str | None = Field(description="its status when the snapshot was taken")
    claimed_created_at: TimeText | None = Field(description="when it was created, UTC")
    claimed_modified_at: TimeText | None = Field(description="when it was last changed, UTC")
    claimed_duration_seconds: float | None = Field(
        description="from its creation to its last change, in seconds, if it has finished"
    )
    claimed_wait_seconds: float | None = Field(
        description="how long it was queued, in seconds, if it is running"
    )


class ClaimedRuns(BaseModel):
    """What the provider claimed about the runs of a group; only `items` depends on the page."""

    taskgroup_id: TaskgroupId
    source: Literal["provider"] = Field(description="who says so: nothing in here was seen")
    snapshot: RunSnapshotMembers | None = Field(description="null if `recorder backfill` never asked for one")
    statuses: dict[str, int] = Field(description="the number of runs by status; `unknown` without one")
    milestones: list[ClaimedMilestone] = Field(description="when shares of the runs had finished")
    curve: list[ClaimedStep] = Field(description="how many had finished by when; at most 200 steps")
    processors: list[ClaimedProcessor] = Field(description="durations and waits, by processor")
    findings: list[ClaimFinding] = Field(description="contradictions; at most 100")
    items: list[ClaimedRunItem] = Field(description="the runs, in the order of their ids")
    next: NextPage
