"""Events in words, for people who read them in a chat or a mail."""

from __future__ import annotations

from typing import Any

from recorder.ledger.timestamps import format_time
from recorder.notify.events import Event, EventType

_TITLES = {
    EventType.RETURNED: "Group is back",
    EventType.STARTED: "Group started",
    EventType.BLOCKED: "Group is blocked: a run needs an action",
    EventType.ANOMALY: "Odd response about a group",
    EventType.STALLED: "Group stands still",
    EventType.SETTLED: "Group settled",
    EventType.SHORT: "Group settled with fewer runs than expected",
    EventType.OVERDUE: "Group is overdue",
    EventType.GONE: "Group is gone: the provider does not know it",
    EventType.UPSTREAM_DOWN: "The provider is down",
    EventType.UPSTREAM_UP: "The provider is up again",
    EventType.KEY_REJECTED: "The provider rejects the API key",
}


def title_of(event: Event) -> str:
    """Return what happened, in a line."""
    title = _TITLES[event.type]
    if event.type is EventType.SETTLED:
        title = f"{title}: {event.data['outcome']}"
    return title


def text_of_event(event: Event) -> str:
    """Return when it happened and the details of an event, a line each; Apprise sends no empty text."""
    lines = {"at": format_time(event.at), **_details(event.data)}
    return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in lines.items())


def _details(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the members of `data` that say something, those of its objects under joined names."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            found |= _details(value, f"{prefix}{name} ")
        elif value is not None and not isinstance(value, list):
            found[f"{prefix}{name}"] = value
    return found
