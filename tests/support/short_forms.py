"""Named response bodies in several spellings, and short forms of entries to compare with a model."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import rfc8785

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.entries import Entry, Gap, Interval, StatusContent, WatchChange
from recorder.ledger.poll_outcome import Cause
from tests.support.bodies import GROUP, body_value, moment, status_value

HTTP_STATUS = {
    Cause.RATE_LIMITED: 429,
    Cause.UNAUTHORIZED: 401,
    Cause.NOT_FOUND: 404,
    Cause.CLIENT_ERROR: 422,
    Cause.SERVER_ERROR: 503,
    Cause.MALFORMED: 200,
    Cause.TOO_LARGE: 200,
    Cause.STALE: 200,
}
FAILURES = [cause for cause in Cause if cause is not Cause.NOT_POLLED]


def _counted(total: Any, active: bool, **counts: int) -> dict[str, Any]:
    status = {"num_task_runs": total, "task_run_status_counts": counts, "is_active": active}
    return body_value(status_value(**status))


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(item) for key, item in reversed(value.items())}
    return float(value) if type(value) is int else value


def _spellings(value: dict[str, Any]) -> tuple[bytes, ...]:
    """The same body twice, the second with different whitespace and order, and 3.0 instead of 3."""
    return json.dumps(value).encode(), json.dumps(_reversed(value), indent=1).encode()


BODIES = {
    "running": _spellings(_counted(3, True, running=2, completed=1)),
    "further": _spellings(_counted(3, True, running=1, completed=2)),
    "settled": _spellings(_counted(3, False, completed=3)),
    "failed": _spellings(_counted(3, False, failed=3)),
    "empty": _spellings(_counted(0, False)),
    "one": _spellings(_counted(1, True, running=1)),
    "true": _spellings(_counted(True, True, running=1)),
    "inexact": (json.dumps(_counted(2**60, True, running=1)).encode(),),
}
SETTLED_BODIES = {"settled", "failed"}

_NAMES = {
    raw if name == "inexact" else rfc8785.dumps(json.loads(raw)): name
    for name, spellings in BODIES.items()
    for raw in spellings
}


def spelled(name: str, spelling: int, taskgroup_id: str) -> bytes:
    """Return a named body as that of a group."""
    return BODIES[name][spelling].replace(_id_text(GROUP), _id_text(taskgroup_id))


def name_of(status: StatusContent) -> str:
    """Return the name of the body in a status entry."""
    value, text = status.body.value, status.body.text
    if text is None:
        return _NAMES[rfc8785.dumps({**value, "taskgroup_id": GROUP})]
    return _NAMES[text.encode().replace(_id_text(value["taskgroup_id"]), _id_text(GROUP))]


def _id_text(taskgroup_id: str) -> bytes:
    return json.dumps(taskgroup_id).encode()


def seconds(time: datetime) -> float:
    """Return a time in seconds after noon."""
    return (time - moment(0)).total_seconds()


def seconds_or_none(time: datetime | None) -> float | None:
    return None if time is None else seconds(time)


def short_interval(interval: Interval | None) -> tuple[float, float, int] | None:
    if interval is None:
        return None
    return seconds(interval.last_asked_at), seconds(interval.last_seen_at), interval.polls


def short(entry: Entry) -> tuple[Any, ...]:
    """Return an entry as plain values, ending with the interval that it closes."""
    content = short_content(entry.content)
    return (str(entry.kind), seconds(entry.at), *content, short_interval(entry.previous))


def short_content(content: StatusContent | Gap | WatchChange) -> tuple[Any, ...]:
    if isinstance(content, WatchChange):
        said = content.action, content.actor, content.note
        if content.expect is None:
            return said
        return *said, (content.expect.runs, seconds_or_none(content.expect.by))
    if isinstance(content, Gap):
        numbers = content.attempts, content.unpolled_seconds
        return (seconds(content.from_), content.cause, *numbers, content.http_status, content.detail)
    return name_of(content), Anomaly.CLOCK_REGRESSED in content.anomalies
