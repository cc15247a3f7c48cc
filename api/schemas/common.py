"""The types of response bodies, from which the OpenAPI document is built."""

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
        description="active: runs are in progress; blocked: a run needs an action; empty: no runs; settled: "
        "every run has completed, failed or been cancelled; unclear: anything else. A group that is not "
        "active is not necessarily done."
    ),
]
NextPage = Annotated[
    str | None,
    Field(
        description="the next page, as a reference relative to the address of this one; null on the last",
        examples=["?limit=2&cursor=WzIsIjM5"],
    ),
]
ObservedAt = Annotated[
    TimeText | None, Field(description="when the response that first reported it was received, UTC")
]
LastSeenAt = Annotated[
    TimeText | None, Field(description="when the response that last reported it was received, UTC")
]
Polls = Annotated[int | None, Field(description="how many consecutive responses reported it")]
AnomalyList = Annotated[list[Anomaly] | None, Field(description="what is odd about the response")]
MetadataValue = Annotated[JsonValue, Field(description="the group's metadata, as received")]
CreatedAt = Annotated[
    TimeText | None, Field(description="when the upstream created the group; null if not reported")
]
StatusSeq = Annotated[int | None, Field(description="the number of the entry with the status")]

GapStart = Annotated[TimeText, Field(alias="from", description="the last response before the gap, UTC")]
GapCause = Annotated[
    Cause, Field(description="why nothing was seen: the recorder was not polling, or how its polls failed")
]
GapAttempts = Annotated[int, Field(description="the number of failed polls")]
UnpolledSeconds = Annotated[
    float, Field(description="how much later than due its polls were made, in total, in seconds")
]
FailureStatus = Annotated[
    int | None, Field(description="the HTTP status of the last failure with that cause")
]
FailureDetail = Annotated[str | None, Field(description="the message of the last failure with that cause")]


class Status(RootModel[dict[str, JsonValue]]):
    """The upstream's `status` object, as received.

    Usually num_task_runs, task_run_status_counts, is_active, status_message and modified_at.
    """


class Progress(BaseModel):
    """How many of a group's runs have finished; null where the upstream did not report it."""

    finished: int | None = Field(description="runs that have completed, failed or been cancelled")
    total: int | None = Field(description="all runs")
    fraction: float | None = Field(description="finished divided by total; null without runs")


class EtaBasis(StrEnum):
    """What an estimate is based on: the group's own pace, or the episodes of similar groups."""

    PACE = "pace"
    COHORT = "cohort"


class Eta(BaseModel):
    """When a group is expected to be settled, estimated from its last response."""

    p10: TimeText | None = Field(description="the group is settled by then with a probability of 10 %, UTC")
    p50: TimeText | None = Field(description="the group is settled by then with a probability of 50 %, UTC")
    p90: TimeText | None = Field(description="the group is settled by then with a probability of 90 %, UTC")
    basis: EtaBasis | None = Field(description="what the estimate is based on")
    reason: str | None = Field(description="why no estimate is available")


class GapMembers(BaseModel):
    """A period in which the group should have been seen but was not."""

    from_: GapStart
    to: TimeText | None = Field(description="the response that ended it, UTC; null while it is open")
    cause: GapCause
    attempts: GapAttempts
    unpolled_seconds: UnpolledSeconds
    http_status: FailureStatus
    detail: FailureDetail


class GapItem(BaseModel):
    """A gap, closed or still open."""

    seq: int | None = Field(description="the number of the gap's entry; null while it is open")
    from_: GapStart
    to: TimeText | None = Field(description="when it ended, UTC; null while it is open")
    duration_seconds: float | None = Field(
        description="how long it lasted, in seconds; null while it is open"
    )
    cause: GapCause
    attempts: GapAttempts
    unpolled_seconds: UnpolledSeconds
    http_status: FailureStatus
    detail: FailureDetail


class CoverageMembers(BaseModel):
    """How much of the watched time the group was seen, over its whole ledger.

    A gap that is still open is not included; it counts once it has ended.
    """

    watched_seconds: float = Field(
        description="from each start or resumption of the watch to its end or the last response, in seconds"
    )
    gap_seconds: float = Field(description="how much of that was in gaps, in seconds")
    observed_seconds: float = Field(description="the rest, in seconds")
    fraction: float | None = Field(
        description="observed divided by watched seconds; null if nothing was watched yet"
    )


class GapsPage(BaseModel):
    """A page of a group's gaps; `coverage` does not depend on the page."""

    items: list[GapItem]
    next: NextPage
    coverage: CoverageMembers


class ExpectationMembers(BaseModel):
    """What somebody said that a group will become; null where nothing is expected."""

    runs: int | None = Field(description="how many runs there will be in all")
    by: TimeText | None = Field(description="when the group will be done, UTC")


class WatchMembers(BaseModel):
    """A change of a group's watch, or a remark, which changes nothing."""

    action: Action = Field(description="what happened to the watch; noted and expected are remarks")
    actor: str = Field(description="who did it; `recorder` for the recorder itself")
    note: str | None = Field(description="the note they left, if any")
    expect: ExpectationMembers = Field(
        default_factory=lambda: ExpectationMembers(runs=None, by=None),
        description="for expected alone: what is expected from then on",
    )


class Group(BaseModel):
    """The current state of a group; values that were never seen are null."""

    taskgroup_id: TaskgroupId
    state: WatchState = Field(
        description="the state of the watch; only `watching` groups are polled regularly"
    )
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
    expected: ExpectationMembers | None = Field(description="what is expected of it; null if nobody said")
    arrived: bool | None = Field(
        description="whether there are as many runs as expected; null if that is not known. A settled group "
        "whose runs have not all arrived is short, not done."
    )
    open_gap: GapMembers | None = Field(description="the gap that has not ended yet")
    anomalies: AnomalyList
    eta: Eta


class GroupsPage(BaseModel):
    """A page of groups, the newest enrolment first."""

    items: list[Group]
    next: NextPage
    count: int = Field(0, description="with count=true: how many groups match, up to 10,000")
    count_is_capped: bool = Field(
        False, description="with count=true: whether more groups match than were counted"
    )


class LatestStatus(BaseModel):
    """A group's latest status; everything but the id is null if it was never seen."""

    taskgroup_id: TaskgroupId
    phase: PhaseNow
    status: Status | None
    seq: StatusSeq
    observed_at: ObservedAt
    last_seen_at: LastSeenAt
    polls: Polls
    anomalies: AnomalyList
    digest: Digest | None = Field(description="the entry's SHA-256 in hex, chained to the entry before")


class HistoryItem(BaseModel):
    """One entry of a group's ledger; members that do not apply to its kind are null."""

    seq: int | None = Field(description="its number, counting from 1; null for a gap that is still open")
    kind: Kind = Field(description="whether it is a change of the watch, a status or a gap")
    at: TimeText | None = Field(description="the entry's time, UTC; for a gap, its end")
    observed_at: ObservedAt
    last_seen_at: LastSeenAt
    polls: Polls
    phase: PhaseNow
    status: Status | None
    metadata: MetadataValue
    created_at: CreatedAt
    anomalies: AnomalyList
    gap: GapMembers | None = Field(description="for a gap: its members")
    watch: WatchMembers | None = Field(description="for a change of the watch: its members")
    digest: Digest | None = Field(description="the entry's SHA-256 in hex, chained to the entry before")


class HistoryPage(BaseModel):
    """A page of a group's history."""

    items: list[HistoryItem]
    next: NextPage


class ParameterError(BaseModel):
    """What is wrong with one parameter."""

    location: str = Field(description="the parameter's name")
    message: str


class Problem(BaseModel):
    """An error, in the format of RFC 9457."""

    type: str = Field(
        description="the kind of error, as the address of its description",
        examples=["/docs/problems#unknown-group"],
    )
    title: str = Field(description="a short name of the kind of error")
    status: int = Field(description="the HTTP status code")
    detail: str = Field(description="what went wrong this time")
    instance: str = Field(description="the requested path; for an internal error, its id in the log")
    errors: list[ParameterError] = Field(default_factory=list, description="every bad parameter")
