"""The type of the error for groups that are archived."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.schemas.common import Digest, Problem, TaskgroupId, TimeText


class ArchivedGroup(BaseModel):
    """What is left of an archived ledger."""

    taskgroup_id: TaskgroupId
    head_seq: int = Field(description="the number of its newest entry")
    head_digest: Digest = Field(description="the digest of its newest entry, which covers the whole ledger")
    entries: int = Field(description="how many entries it has")
    first_at: TimeText = Field(description="the time of its first entry")
    last_at: TimeText = Field(description="the time of its newest entry")
    archived_at: TimeText = Field(description="when its entries were moved to the archive")
    archive_sha256: Digest = Field(description="the SHA-256 of the archive, a file that has its entries")


class ArchivedProblem(Problem):
    """The group is archived."""

    tombstone: ArchivedGroup


GROUP_PROBLEMS: dict[int, type[BaseModel]] = {404: Problem, 410: ArchivedProblem, 503: Problem}
"""The errors of a route about one group, by HTTP status code."""
