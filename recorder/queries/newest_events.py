"""What happened last: pages of events with the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from sqlalchemy import Connection

from recorder.notify.events import EventType
from recorder.queries.events import GroupIdParam, event_body, read_event_id
from recorder.queries.param_types import (
    DEFAULT_LIMIT,
    LIMIT_WORDS,
    EventTypesParam,
    LimitParam,
    list_description,
)
from recorder.queries.query import Query
from recorder.store.events import read_newest_events

BeforeParam = Annotated[
    int | None, BeforeValidator(read_event_id), WithJsonSchema({"type": "integer", "minimum": 0})
]


class NewestEventsQuery(Query):
    """Which events to show."""

    before: BeforeParam = Field(None, description="only events with a smaller id")
    type: EventTypesParam = Field(None, description=list_description("only events of these types", EventType))
    taskgroup_id: GroupIdParam = Field(None, description="only events of this group")
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)


@dataclass(frozen=True, slots=True)
class NewestEvents:
    """Events as JSON values, the newest first; `before` is where the next page starts, None on the last."""

    items: list[dict[str, Any]]
    before: int | None


def newest_events(connection: Connection, query: NewestEventsQuery) -> NewestEvents:
    """Return the events that `query` asks for."""
    found = read_newest_events(
        connection,
        before=query.before,
        types=query.type,
        taskgroup_id=query.taskgroup_id,
        limit=query.limit + 1,
    )
    shown = found[: query.limit]
    return NewestEvents(
        [event_body(item) for item in shown], shown[-1].id if len(found) > len(shown) else None
    )
