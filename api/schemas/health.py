"""The types of responses about the server itself."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.common import Problem, TimeText
from recorder.ledger.poll_outcome import Cause
from recorder.notify.sinks import SinkKind
from recorder.store.heartbeats import PollLimit


class Health(BaseModel):
    """The server is running."""

    status: Literal["ok"]


class SchemaMembers(BaseModel):
    """The revision of the database's schema."""

    current: str | None = Field(
        description="the revision of the database; null if it has none, or cannot be read"
    )
    head: str | None = Field(
        description="the revision that this program needs; null if the database cannot be read"
    )


class DerivingMembers(BaseModel):
    """How far deriving completion anew has come, after an upgrade that changed its rules."""

    groups_done: int
    groups_total: int


class DatabaseMembers(BaseModel):
    """The database that the API reads."""

    ok: bool = Field(description="whether it can be read and has the required schema")
    schema_: SchemaMembers = Field(alias="schema")
    deriving: DerivingMembers | None = Field(
        description="null unless completion and metadata are being derived anew after an upgrade: until "
        "then, requests that need them get 503 with the problem `being-derived`"
    )


class FailureMembers(BaseModel):
    """A poll that failed."""

    at: TimeText = Field(description="when it failed, UTC")
    cause: Cause
    http_status: int | None = Field(description="null if there was no response")
    detail: str = Field(description="the error message of the response or the network, shortened")


class TroubleMembers(BaseModel):
    """A series of failing polls; it ends once polls have succeeded for some seconds."""

    since: TimeText = Field(description="when the first of them failed, UTC")
    failures: dict[str, int] = Field(description="the number of failed polls, by cause")
    answers: int = Field(description="the number of polls answered in the meantime")
    last_failure: FailureMembers


class UpstreamMembers(BaseModel):
    """The state of the provider's API, as seen by one recorder's polls."""

    state: Literal["ok", "failing", "not_found", "key_rejected"] = Field(
        description="`not_found`: groups that were seen before are not found, so many together that none of "
        "them becomes gone; `key_rejected`: polling pauses, apart from one poll at a time that tests whether "
        "the API key is accepted again"
    )
    trouble: TroubleMembers | None = Field(description="null while polls succeed")
    prefix: str | None = Field(
        None,
        description="the prefix that polls take since groups are found under it, and not under "
        "RECORDER_UPSTREAM_PREFIX; null if they take that one",
    )


class RecorderMembers(BaseModel):
    """A recorder that has not signed off from the database."""

    recorder_id: str
    host: str = Field(description="the name of the machine it runs on")
    pid: int = Field(description="its process id on that machine")
    started_at: TimeText = Field(description="when it started, UTC")
    heartbeat_at: TimeText = Field(description="its last heartbeat, UTC")
    alive: bool = Field(description="whether it has sent a heartbeat in the last 15 s")
    recording: bool = Field(description="whether it is alive and none of its writes fails")
    clock_offset_seconds: float | None = Field(
        description="how many seconds its machine's clock is ahead of the database's, whose times it uses; "
        "0 if the database is a file; null if not reported"
    )
    last_poll_at: TimeText | None = Field(
        description="when its last poll ended, UTC; null if it has made none"
    )
    last_write_at: TimeText | None = Field(
        description="when it last wrote the results of polls, UTC; null if it never did"
    )
    write_failures: int | None = Field(
        description="the number of failed writes since the database became unavailable; null if not reported"
    )
    failing_since: TimeText | None = Field(
        description="when the first of these failed, UTC; null if none did"
    )
    response_seconds: float | None = Field(
        description="the mean duration of its latest polls, in seconds; null if it has made none"
    )
    write_seconds: float | None = Field(
        description="the mean duration of its latest writes, in seconds; null if it has made none"
    )
    limited_by: PollLimit | None = Field(
        description="what keeps it from starting more polls; null if it starts every poll that is due"
    )
    held_until: TimeText | None = Field(
        description="polls are held back until this time, because the provider asked for it; null otherwise"
    )
    upstream: UpstreamMembers | None = Field(description="null if not reported yet")


class RateBudgetMembers(BaseModel):
    """How many requests may be sent to the upstream."""

    requests_per_second: float = Field(description="for all recorders of the database together")
    recorders: int = Field(description="how many recorders that are alive share it equally")
    needed_per_second: float | None = Field(
        description="what the watched groups need at their configured intervals; null if no recorder is alive"
    )
    stretch: float | None = Field(
        description="the factor by which intervals are longer on average as more polls are not possible; "
        "1 if they can"
    )
    capacity_per_second: float | None = Field(
        description="how many polls the recorders can make; null if not reported"
    )
    reached_per_second: float | None = Field(
        description="how many polls the recorders have made lately; null if not reported"
    )
    limited_by: PollLimit | None = Field(
        description="what keeps the capacity from being more; null if it suffices"
    )


class SinkMembers(BaseModel):
    """A sink of events, as the recorder that delivers knows it."""

    name: str
    kind: SinkKind
    pending: int = Field(description="how many events it is still to be told")
    failed: int = Field(description="how many events it could not be told, until they are replayed")
    oldest_pending_at: TimeText | None = Field(
        description="since when the oldest of the pending ones has waited, UTC; null if there is none"
    )
    disabled_at: TimeText | None = Field(
        description="when it said that it wants no more events, UTC; null if it did not"
    )
    last_success_at: TimeText | None = Field(
        description="when it last took an event, UTC; null if it never did"
    )
    last_error_at: TimeText | None = Field(description="when it last did not, UTC; null if it always did")
    last_error: str | None = Field(description="why it did not; null if it always did")


class Readiness(BaseModel):
    """The server is ready to serve groups, whether new polls are being recorded or not."""

    status: Literal["ready"]
    recording: bool = Field(description="whether a recorder is alive and none of its writes fails")
    database: DatabaseMembers
    recorders: list[RecorderMembers] = Field(description="longest running first")
    rate_budget: RateBudgetMembers = Field(description="how many requests may be sent to the upstream")
    sinks: list[SinkMembers] = Field(description="where events are delivered, by name")


class UnreadyProblem(Problem):
    """An error that shows what is not ready."""

    database: DatabaseMembers
    recorders: list[RecorderMembers]
