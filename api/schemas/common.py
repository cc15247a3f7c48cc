"""The types of the answers, of which the OpenAPI document is made."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, RootModel, WithJsonSchema

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.entries import Action, Kind
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import WatchState

TimeText = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
            "examples": ["2026-11-24T12:16:00.000000Z"],
        }
    ),
]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

TaskgroupId = Annotated[str, Field(description="the group's id")]
PhaseNow = Annotated[
    Phase | None,
    Field(
        description="active: runs are at work; blocked: some run needs an action; empty: no runs; settled: "
        "every run has completed, failed or been cancelled; unclear: anything else. Not active is not done."
    ),
]
ObservedAt = Annotated[TimeText | None, Field(description="when it was first said: response received, UTC")]
LastSeenAt = Annotated[TimeText | None, Field(description="when it was last said: response received, UTC")]
Polls = Annotated[int | None, Field(description="how many responses in a row said it")]
AnomalyList = Annotated[list[Anomaly] | None, Field(description="what is odd about what was said")]
MetadataValue = Annotated[JsonValue, Field(description="the group's metadata as it was said")]
CreatedAt = Annotated[
    TimeText | None, Field(description="when the upstream created the group; null if not said")
]
StatusSeq = Annotated[int | None, Field(description="the number of the entry that holds the status")]

GapCause = Annotated[
    Cause, Field(description="why nothing was seen: the recorder's own silence, or what polls met")
]
GapAttempts = Annotated[int, Field(description="failed polls")]
UnpolledSeconds = Annotated[
    float, Field(description="how much later than due its polls were, in sum, in seconds")
]
FailureStatus = Annotated[int | None, Field(description="of the last failure of that cause")]
FailureDetail = Annotated[str | None, Field(description="of the last failure of that cause")]


class Status(RootModel[dict[str, JsonValue]]):
    """The upstream's `status` object as it was said.

    Usually num_task_runs, task_run_status_counts, is_active, status_message and modified_at.
    """


class Progress(BaseModel):
    """How many of a group's runs have finished; null where the upstream did not say."""

    finished: int | None = Field(description="runs that have completed, failed or been cancelled")
    total: int | None = Field(description="runs in all")
    fraction: float | None = Field(description="finished by total; null without runs")


class EtaBasis(StrEnum):
    """What an estimate rests on: the group's own pace, or episodes of groups alike."""

    PACE = "pace"
    COHORT = "cohort"


class Eta(BaseModel):
    """When a group is expected to be settled, as of when it was last seen."""

    p10: TimeText | None = Field(description="one in ten is settled by then, UTC")
    p50: TimeText | None = Field(description="half are settled by then, UTC")
    p90: TimeText | None = Field(description="nine in ten are settled by then, UTC")
    basis: EtaBasis | None = Field(description="what the estimate rests on")
    reason: str | None = Field(description="why there is none")


class GapMembers(BaseModel):
    """A stretch in which the group should have been seen and was not."""

    from_: TimeText = Field(alias="from", description="the last response before it, UTC")
    to: TimeText | None = Field(description="the response that ended it, UTC; null while it is open")
    cause: GapCause
    attempts: GapAttempts
    unpolled_seconds: UnpolledSeconds
    http_status: FailureStatus
    detail: FailureDetail


class GapItem(BaseModel):
    """A gap, closed or still open."""

    seq: int | None = Field(description="of the entry that holds it; null while it is open")
    from_: TimeText = Field(alias="from", description="the last response before it, UTC")
    to: TimeText | None = Field(description="what ended it, UTC; null while it is open")
    duration_seconds: float | None = Field(
        description="how long it lasted, in seconds; null while it is open"
    )
    cause: GapCause
    attempts: GapAttempts
    unpolled_seconds: UnpolledSeconds
    http_status: FailureStatus
    detail: FailureDetail


class CoverageMembers(BaseModel):
    """How much of the time in which the group was watched it was seen; over its whole ledger.

    A gap that is still open is in none of these: it counts once it has ended.
    """

    watched_seconds: float = Field(
        description="from each start or resumption of the watch to its end or the last response, in seconds"
    )
    gap_seconds: float = Field(description="how much of it fell into gaps, in seconds")
    observed_seconds: float = Field(description="the rest of it, in seconds")
    fraction: float | None = Field(description="observed by watched seconds; null if nothing was watched yet")


class GapsPage(BaseModel):
    """A page of a group's gaps; `coverage` does not depend on the page."""

    items: list[GapItem]
    next: str | None = Field(description="the address of the next page; null on the last")
    coverage: CoverageMembers


class WatchMembers(BaseModel):
    """A change of the recorder's enrolment of a group."""

    action: Action = Field(description="what happened to the watch")
    actor: str = Field(description="who did it; `recorder` for the recorder itself")
    note: str | None = Field(description="what they noted")


class Group(BaseModel):
    """A group as it stands; what was never seen is null."""

    taskgroup_id: TaskgroupId
    state: WatchState = Field(description="of the recorder's watch; only a `watching` group is polled as due")
    phase: PhaseNow
    created_at: CreatedAt
    metadata: MetadataValue
    status: Status | None
    seq: StatusSeq
    observed_at: ObservedAt
    last_seen_at: LastSeenAt
    polls: Polls
    due_at: TimeText | None = Field(
        description="when the first poll since the last response is or was due, UTC"
    )
    interval_seconds: float | None = Field(description="from the last poll to the next, in seconds")
    progress: Progress
    open_gap: GapMembers | None = Field(description="the gap that has not ended yet")
    anomalies: AnomalyList
    eta: Eta


class GroupsPage(BaseModel):
    """A page of groups, the newest enrolment first."""

    items: list[Group]
    next: str | None = Field(description="the address of the next page; null on the last")
    count: int = Field(0, description="with count=true: how many groups there are in all")
    count_is_capped: bool = Field(False, description="with count=true: there are more than were counted")


class LatestStatus(BaseModel):
    """A group's latest status; all null but the id if it was never seen."""

    taskgroup_id: TaskgroupId
    phase: PhaseNow
    status: Status | None
    seq: StatusSeq
    observed_at: ObservedAt
    last_seen_at: LastSeenAt
    polls: Polls
    anomalies: AnomalyList
    digest: Digest | None = Field(description="of the entry: SHA-256, chained to the entry before, in hex")


class HistoryItem(BaseModel):
    """One entry of a group's ledger; what does not belong to its kind is null."""

    seq: int | None = Field(description="its number from 1, without holes; null for a gap that is still open")
    kind: Kind = Field(description="a change of the watch, a status, or a gap")
    at: TimeText | None = Field(description="its own time, UTC: of a gap, its end")
    observed_at: ObservedAt
    last_seen_at: LastSeenAt
    polls: Polls
    phase: PhaseNow
    status: Status | None
    metadata: MetadataValue
    created_at: CreatedAt
    anomalies: AnomalyList
    gap: GapMembers | None = Field(description="of a gap")
    watch: WatchMembers | None = Field(description="of a change of the watch")
    digest: Digest | None = Field(description="SHA-256, chained to the entry before, in hex")


class HistoryPage(BaseModel):
    """A page of a group's history."""

    items: list[HistoryItem]
    next: str | None = Field(description="the address of the next page; null on the last")


class ParameterError(BaseModel):
    """What is wrong with one parameter."""

    location: str = Field(description="the parameter's name")
    message: str


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(
        description="which kind of error; the address of its description",
        examples=["/docs/problems#unknown-group"],
    )
    title: str = Field(description="the kind of error in words")
    status: int = Field(description="the HTTP status code")
    detail: str = Field(description="what went wrong this time")
    instance: str = Field(description="the path that was asked for, or the name of the error in the log")
    errors: list[ParameterError] = Field(default_factory=list, description="every bad parameter")
