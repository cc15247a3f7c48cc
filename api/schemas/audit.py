"""The types of audit responses."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.schemas.common import Digest, TaskgroupId, TimeText


class Audit(BaseModel):
    """An audit summary of one group."""

    head_seq: int = Field(description="the number of the newest entry, according to the watch")
    head_digest: Digest = Field(description="the digest of the newest entry")
    entries: int = Field(description="how many entries the ledger has")
    first_at: TimeText = Field(description="the time of the first entry, UTC")
    last_at: TimeText = Field(description="the time of the newest entry, UTC")
    anomalies: dict[str, int] = Field(description="the number of entries with each anomaly that occurs")


class LedgerHead(BaseModel):
    """The newest entry of a ledger."""

    taskgroup_id: TaskgroupId
    seq: int = Field(description="the number of the entry")
    digest: Digest = Field(description="the digest of the entry")
    last_seen_at: TimeText | None = Field(
        description="for a status: when the response that last reported it was received, UTC"
    )
    polls: int | None = Field(description="for a status: how many consecutive responses reported it")


class Checkpoint(BaseModel):
    """The heads of all ledgers at one moment, ordered by id."""

    items: list[LedgerHead]
    entries: int = Field(description="how many entries all ledgers have together")
    digest: Digest = Field(
        description="the SHA-256 of the lines that `recorder checkpoint` writes for the items"
    )
