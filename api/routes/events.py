"""What happened, in one order."""

from __future__ import annotations

from flask import Blueprint, Response

from api.context import snapshot
from api.endpoint import operation
from api.responses import page_response
from api.schemas.common import Problem
from api.schemas.events import EventsPage
from recorder.queries.events import EVENTS_PATH, EventsQuery, event_body, events_page

TAG = "events"
blueprint = Blueprint(TAG, __name__)


@blueprint.get(EVENTS_PATH)
@operation("listEvents", tag=TAG, query=EventsQuery, answer=EventsPage, problems={503: Problem})
def list_events(query: EventsQuery) -> Response:
    """What happened to groups and to the upstream, in the order of the ids, which have no holes."""
    with snapshot() as read:
        # The ETag is that of the body: events are in no digest, and after a restore ids begin again.
        return page_response(events_page(read.connection, query).body(event_body))
