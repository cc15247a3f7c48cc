"""A made-up event, for trying out a sink."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from recorder.ledger.timestamps import format_time
from recorder.notify.events import Event, EventType
from recorder.notify.sinks import Sink

_GROUP = f"tgrp_{'0' * 32}"
_SEQ = 2


def made_up_event(sink: Sink, now: datetime) -> Event:
    """Return an event such as a sink could get: `group.settled`, or the first type that it wants.

    It is about a group that does not exist, and has `test` in its data.
    """
    wanted = [EventType.SETTLED, *EventType]
    kind = next(one for one in wanted if one in sink.events)
    at = format_time(now)
    if not kind.startswith("group."):
        data: dict[str, Any] = {"test": True, "down_since": at, "cause": "server_error", "detail": "a test"}
        return Event(kind, "test", now, None, None, data)
    data = {"test": True, "taskgroup_id": _GROUP, "seq": _SEQ, "number": 1, "outcome": "completed"}
    data["runs"] = {"total": 3, "completed": 3, "failed": 0, "cancelled": 0}
    return Event(kind, "test", now, _GROUP, _SEQ, data)
