"""What may be asked about the groups."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, ValidationInfo, field_validator

from api.label_queries import LabelledQuery
from api.queries import (
    CURSOR_WORDS,
    DEFAULT_LIMIT,
    LIMIT_WORDS,
    At,
    ExportQuery,
    Limit,
    Moment,
    Phases,
    States,
    YesNo,
    complaint,
    listing_words,
)
from recorder.ledger.status import Phase
from recorder.ledger.watch import WatchState


class GroupsQuery(ExportQuery, LabelledQuery):
    """Which groups to list."""

    phase: Phases = Field(None, description=listing_words("only groups in one of these phases", Phase))
    state: States = Field(
        None, description=listing_words("only groups with a watch in one of these states", WatchState)
    )
    late: YesNo = Field(False, description="true: only groups with an open gap")
    created_from: Moment = Field(None, description="only groups that were created at or after this time")
    created_to: Moment = Field(None, description="only groups that were created before this time")
    changed_from: Moment = Field(None, description="only groups with an entry of this time or a later one")
    count: YesNo = Field(False, description="true: say how many there are in all, up to 10,000")
    limit: Limit = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)
    cursor: At = Field(None, description=CURSOR_WORDS)

    @field_validator("created_to")
    @classmethod
    def _not_before_from(cls, to: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("created_from")
        if since is not None and to is not None and since > to:
            raise complaint("lies before created_from")
        return to
