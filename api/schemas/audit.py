"""The types of the answers to auditors."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.schemas.common import Digest, TaskgroupId, TimeText


class Audit(BaseModel):
    """What there is to audit of a group."""

    head_seq: int = Field(description="the number of the newest entry, as the watch has it")
    head_digest: Digest = Field(description="its digest")
    entries: int = Field(description="how many entries stand in the ledger")
    first_at: TimeText = Field(description="the time of the first entry, UTC")
    last_at: TimeText = Field(description="the time of the newest entry, UTC")
    anomalies: dict[str, int] = Field(
        description="how many entries have which anomaly; none that no entry has"
    )


class LedgerHead(BaseModel):
    """The newest entry of a ledger."""

    taskgroup_id: TaskgroupId
    seq: int = Field(description="its number")
    digest: Digest = Field(description="its digest")
    last_seen_at: TimeText | None = Field(description="of a status: when it was last said, UTC")
    polls: int | None = Field(description="of a status: how many responses in a row said it")


class Checkpoint(BaseModel):
    """The heads of all ledgers at one moment, by id."""

    items: list[LedgerHead]
    entries: int = Field(description="how many entries all ledgers have")
    digest: Digest = Field(description="SHA-256 of the lines that `recorder checkpoint` writes of the items")
