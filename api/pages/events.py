"""The page of what happened, and of who was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response

from api.context import snapshot
from api.pages.charts.scale import span_words
from api.pages.page import address_with, blueprint, live_page
from api.pages.params import form_query
from recorder.notify.events import EventType
from recorder.queries.newest_events import NewestEvents, NewestEventsQuery, newest_events
from recorder.queries.sinks import sink_body, sink_problem
from recorder.store.deliveries import sink_states

_SHOWN_DATA = {
    "number": "episode",
    "outcome": "outcome",
    "anomaly": "anomaly",
    "cause": "cause",
    "since": "since",
    "duration_seconds": "lasted",
    "unchanged_seconds": "unchanged for",
}
"""The members of events that the page shows, each with its name there."""


@blueprint.get("/events")
def all_events() -> Response:
    """Events, the newest first, and the sinks that they are delivered to."""
    query = form_query(NewestEventsQuery)
    with snapshot() as read:
        connection = read.connection
        sinks = [{**sink_body(state), "problem": sink_problem(state)} for state in sink_states(connection)]
        found = newest_events(connection, query)
        return live_page(
            repr((found, sinks)), "events.html", lambda: {**_values(found, query), "sinks": sinks}
        )


def _values(found: NewestEvents, query: NewestEventsQuery) -> Mapping[str, Any]:
    return {
        "query": query,
        "events": [{**item, "details": _details(item["data"])} for item in found.items],
        "types": list(EventType),
        "next": None if found.before is None else address_with(before=found.before),
        "first": None if query.before is None else address_with(before=None),
    }


def _details(data: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        (words, span_words(data[name]) if name.endswith("_seconds") else data[name])
        for name, words in _SHOWN_DATA.items()
        if data.get(name) is not None
    ]
