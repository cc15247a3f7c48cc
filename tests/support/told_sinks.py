"""A sink with a history of deliveries."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine

from recorder.notify.events import Event, EventType
from recorder.notify.sink_file import read_sink_file
from recorder.store.deliveries import (
    Attempt,
    due_deliveries,
    list_sinks,
    queue_events,
    write_attempts,
)
from recorder.store.events import add_events, publish_events
from recorder.store.transactions import writing
from tests.support.recording import after


def told_sink(engine: Engine, name: str) -> None:
    """List a sink that took one event, could not be told another, and wants no more instead of a third."""
    sinks = read_sink_file(f'[[notify]]\nname = "{name}"\nurl_env = "URL"', {"URL": "json://localhost"}).sinks
    with writing(engine) as connection:
        list_sinks(connection, sinks, after(0))
        new = [
            Event(EventType.GONE, str(seq), after(seq), f"tgrp_{seq}", seq, {"seq": seq}) for seq in (1, 2, 3)
        ]
        add_events(connection, new)
        publish_events(connection)
        queue_events(connection, sinks, after(10))
        taken, failed, refused = due_deliveries(connection, name, after(10), 3)
        late = after(20) + timedelta(days=2)
        write_attempts(
            connection,
            [
                Attempt(taken, after(10)),
                Attempt(failed, late, "503 Service Unavailable"),
                Attempt(refused, after(30), "410 Gone", gone=True),
            ],
        )
