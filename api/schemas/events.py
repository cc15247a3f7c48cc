"""The types of responses about events."""

from __future__ import annotations

from pydantic import BaseModel, Field, JsonValue, RootModel

from api.schemas.common import NextPage, TimeText
from recorder.notify.events import EventType


class EventData(RootModel[dict[str, JsonValue]]):
    """The details of an event, which depend on its type."""


class EventItem(BaseModel):
    """Something that happened."""

    id: int = Field(description="its place in the order of all events: 1, 2, 3 … without holes")
    at: TimeText = Field(description="when it happened, or when it was noticed, UTC")
    type: EventType = Field(description="what happened")
    taskgroup_id: str | None = Field(description="the group's id; null if it is about the upstream")
    seq: int | None = Field(description="the number of the entry that shows it, if any")
    data: EventData


class EventsPage(BaseModel):
    """A page of events, the smallest id first."""

    items: list[EventItem]
    next: NextPage
