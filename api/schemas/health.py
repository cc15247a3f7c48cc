"""What the questions about the server itself are answered with: the OpenAPI document is made from these."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.common import Problem, TimeText
from recorder.ledger.poll_outcome import Cause


class Health(BaseModel):
    """The server answers."""

    status: Literal["ok"]


class SchemaMembers(BaseModel):
    """The revision of the database's schema."""

    current: str | None = Field(description="what the database has; null if it has none, or cannot be read")
    head: str | None = Field(description="what this program needs; null if the database cannot be read")


class DatabaseMembers(BaseModel):
    """The database that is read from."""

    ok: bool = Field(description="it can be read, and its schema is the one needed")
    schema_: SchemaMembers = Field(alias="schema")


class FailureMembers(BaseModel):
    """A poll that failed."""

    at: TimeText = Field(description="UTC")
    cause: Cause
    http_status: int | None = Field(description="null where there was no answer")
    detail: str = Field(description="what the answer or the network said, cut short")


class TroubleMembers(BaseModel):
    """Polls that fail, since the first of them; it is over once polls have succeeded for some seconds."""

    since: TimeText = Field(description="UTC")
    failures: dict[str, int] = Field(description="failed polls by cause")
    answers: int = Field(description="polls that were answered meanwhile")
    last_failure: FailureMembers


class UpstreamMembers(BaseModel):
    """How the provider's API does, as one recorder's polls tell it."""

    state: Literal["ok", "failing", "key_rejected"] = Field(
        description="`key_rejected`: polls pause, and one at a time tries whether the API key is taken again"
    )
    trouble: TroubleMembers | None = Field(description="null where polls do not fail")


class RecorderMembers(BaseModel):
    """One recorder at work on the database."""

    recorder_id: str
    host: str = Field(description="the machine that it runs on")
    pid: int = Field(description="its process on that machine")
    started_at: TimeText = Field(description="UTC")
    heartbeat_at: TimeText = Field(description="its last sign of life, UTC")
    upstream: UpstreamMembers | None = Field(description="null if it has not said")


class RateBudgetMembers(BaseModel):
    """How fast the upstream may be asked."""

    requests_per_second: float = Field(description="over all recorders of the database together")
    recorders: int = Field(description="how many share it, in equal parts")
    needed_per_second: float | None = Field(
        description="what the watched groups need at the intervals that are set; null without a recorder"
    )
    stretch: float | None = Field(
        description="how many times as long intervals are because the rate does not suffice; 1 where it does"
    )


class Readiness(BaseModel):
    """The server can answer questions about groups."""

    status: Literal["ready"]
    database: DatabaseMembers
    recorders: list[RecorderMembers] = Field(description="the longest at work first")
    rate_budget: RateBudgetMembers = Field(description="how fast the upstream may be asked")


class UnreadyProblem(Problem):
    """An error that says what is not ready."""

    database: DatabaseMembers
    recorders: list[RecorderMembers]
