"""What happened: query parameters, and pages of events as JSON-ready values."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from sqlalchemy import Connection

from recorder.ledger.group_id import check_taskgroup_id
from recorder.ledger.timestamps import format_time
from recorder.notify.events import EventType
from recorder.queries.paging import ForeignCursorError, Page, Paging
from recorder.queries.param_types import (
    CURSOR_WORDS,
    DEFAULT_LIMIT,
    LIMIT_WORDS,
    CursorParam,
    EventTypesParam,
    LimitParam,
    complaint,
    list_description,
)
from recorder.queries.query import Query
from recorder.store.events import PublishedEvent, read_events

EVENTS_PATH = "/api/v1/events"
_MAX_ID = 2**63 - 1


def read_event_id(text: object) -> int:
    """Parse the id of an event, for a parameter."""
    number = int(text) if isinstance(text, int) or (isinstance(text, str) and _is_number(text)) else -1
    if not 0 <= number <= _MAX_ID:
        raise complaint("is not the id of an event: a whole number, 0 for the beginning")
    return number


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _group_id(text: str) -> str:
    try:
        return check_taskgroup_id(text)
    except ValueError as error:
        raise complaint(f"is not a group's id: {error}") from None


AfterParam = Annotated[
    int,
    BeforeValidator(read_event_id),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _MAX_ID, "default": 0}),
]
GroupIdParam = Annotated[str | None, AfterValidator(lambda text: None if text is None else _group_id(text))]


class EventsQuery(Query):
    """Which events to list."""

    after: AfterParam = Field(0, description="only events with a greater id: the last one you have seen")
    type: EventTypesParam = Field(None, description=list_description("only events of these types", EventType))
    taskgroup_id: GroupIdParam = Field(None, description="only events of this group")
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)
    cursor: CursorParam = Field(None, description=CURSOR_WORDS)


def events_page(connection: Connection, query: EventsQuery) -> Page[PublishedEvent]:
    """Return the page of events that `query` asks for.

    Raises:
        ForeignCursorError: the cursor belongs to another query.
    """
    paging = Paging(EVENTS_PATH, query)
    position = paging.position(query.cursor)
    found = read_events(
        connection,
        after=query.after if position is None else _id_in(position[0]),
        types=query.type,
        taskgroup_id=query.taskgroup_id,
        limit=query.limit + 1,
    )
    items = found[: query.limit]
    return paging.page(items, (items[-1].id,) if len(found) > len(items) else None)


def event_body(item: PublishedEvent) -> dict[str, Any]:
    """Return an event as JSON values."""
    event = item.event
    return {
        "id": item.id,
        "at": format_time(event.at),
        "type": event.type.value,
        "taskgroup_id": event.taskgroup_id,
        "seq": event.seq,
        "data": event.data,
    }


def _id_in(member: int | str) -> int:
    if not isinstance(member, int) or not 0 <= member <= _MAX_ID:
        raise ForeignCursorError
    return member
