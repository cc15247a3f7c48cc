"""The types of the answers about the past."""

from __future__ import annotations

from pydantic import BaseModel, Field, RootModel

from api.schemas.common import GapMembers, HistoryPage, LatestStatus, PhaseNow, Status, TimeText
from recorder.ledger.timeline import Certainty

_CERTAINTY = (
    "observed: it was said then; between: it is this one or the next; gap: it should have been seen and was "
    "not; open: the last that was said, and the next response was not due yet; before: nothing had been "
    "said; not_watched: nobody was meant to look"
)


class StatusAt(LatestStatus):
    """A group's status at a moment: the last that was said by then."""

    certainty: Certainty = Field(description=_CERTAINTY)
    next_status: Status | None = Field(
        description="the next that was said, where the moment lies between two, in a gap or before the first"
    )
    gap: GapMembers | None = Field(description="the gap that the moment lies in")


class StatusAnswer(RootModel[StatusAt | LatestStatus]):
    """The latest status, or with `at` the one of that moment."""


class Sample(BaseModel):
    """A group at one moment, and what came from then until the next sample."""

    at: TimeText = Field(description="the moment, UTC")
    certainty: Certainty = Field(description=_CERTAINTY)
    phase: PhaseNow
    status: Status | None = Field(description="null in a gap, before the first, and where nobody watched")
    changes: int = Field(description="how many status entries began in the step")
    gap_seconds: float = Field(description="how much of the step lay in gaps, in seconds")


class Samples(BaseModel):
    """Samples at even steps; never more than one page."""

    items: list[Sample]
    next: None = Field(description="always null")


class HistoryAnswer(RootModel[HistoryPage | Samples]):
    """A page of a group's history, or with `step` samples of it."""
