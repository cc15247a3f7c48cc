"""The types of responses about the past."""

from __future__ import annotations

from pydantic import BaseModel, Field, RootModel

from api.schemas.common import GapMembers, HistoryPage, LatestStatus, PhaseNow, Status, TimeText
from recorder.ledger.timeline import Certainty

_CERTAINTY = (
    "observed: this status was reported at that time; between: it was either this status or the next; gap: "
    "the group should have been seen but was not; open: this is the last status received, and the next "
    "response was not due yet; before: no status had been received yet; not_watched: nobody watched the group"
)


class StatusAt(LatestStatus):
    """A group's status at a moment: the last one received by then."""

    certainty: Certainty = Field(description=_CERTAINTY)
    next_status: Status | None = Field(
        description="the next status received, if the moment lies between two, in a gap or before the first"
    )
    gap: GapMembers | None = Field(description="the gap that the moment lies in")


class StatusAnswer(RootModel[StatusAt | LatestStatus]):
    """The latest status; with `at`, the status at that moment."""


class Sample(BaseModel):
    """A group at one moment, and what happened from then until the next sample."""

    at: TimeText = Field(description="the moment, UTC")
    certainty: Certainty = Field(description=_CERTAINTY)
    phase: PhaseNow
    status: Status | None = Field(
        description="null in a gap, before the first status, and while the group was not watched"
    )
    changes: int = Field(description="how many status entries began in the step")
    gap_seconds: float = Field(description="how much of the step was in gaps, in seconds")


class Samples(BaseModel):
    """Samples at regular steps; always a single page."""

    items: list[Sample]
    next: None = Field(description="always null")


class HistoryAnswer(RootModel[HistoryPage | Samples]):
    """A page of a group's history, or, with `step`, samples of it."""
