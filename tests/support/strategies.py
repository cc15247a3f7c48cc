"""Random ledgers: any sequence of responses, failures, pauses and resumes, with or without clock steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from recorder.ledger.entries import Action
from recorder.ledger.poll_outcome import Cause
from tests.support.ledgers import Ledger, body

_COUNTS: Sequence[dict[str, Any]] = (
    {},
    {"queued": 3},
    {"running": 2, "completed": 1},
    {"action_required": 1, "completed": 2},
    {"completed": 3},
    {"completed": 2, "failed": 1},
    {"completed": 3, "failed": 1, "cancelled": 2},
    {"total": 4, "completed": 3},
    {"running": 2, "active": False},
)


@dataclass(frozen=True)
class Event:
    """Something that happens `wait` seconds after the previous event; responses take `delay` seconds."""

    what: str
    wait: float
    delay: float
    counts: dict[str, Any]
    created: float | None
    modified: float | None


def events(*, steps_back: bool, remarks: bool = False) -> st.SearchStrategy[list[Event]]:
    waits = st.sampled_from([0.5, 3, 10, 11.25, 29, 60, 500])
    if steps_back:
        waits = waits | st.sampled_from([-1, -15, -400, -4000])
    event = st.builds(
        Event,
        what=st.sampled_from(
            ["see", "see", "see", "see", "fail", "cease", "resume", *(["note", "expect"] if remarks else [])]
        ),
        wait=waits,
        delay=st.sampled_from([0, 0.25, 2]),
        counts=st.sampled_from(_COUNTS),
        created=st.sampled_from([None, -100, 30, 10**6]),
        modified=st.none() | st.floats(-50, 3, width=16),
    )
    return st.lists(event, max_size=25)


def ledger_of(happened: list[Event]) -> Ledger:
    """Return the ledger that the events produce; an event's `modified` is relative to its time."""
    ledger, now = Ledger(), 0.0
    for event in happened:
        now += event.wait + event.delay
        if event.what == "see" and ledger.answers:
            modified = None if event.modified is None else now + event.modified
            ledger.see(now, body(event.created, modified, **event.counts), asked=now - event.delay)
        elif event.what == "fail" and ledger.answers:
            ledger.fail(now, Cause.NOT_FOUND)
        elif event.what == "cease" and ledger.watching:
            ledger.cease(now, Action.STOPPED)
        elif event.what == "resume" and not ledger.watching:
            ledger.resume(now)
        elif event.what == "note":
            ledger.note(now)
        elif event.what == "expect":
            runs = event.counts.get("completed") or None
            ledger.expect(now, runs, event.created)
    return ledger


def ledgers(*, steps_back: bool, remarks: bool = False) -> st.SearchStrategy[Ledger]:
    return events(steps_back=steps_back, remarks=remarks).map(ledger_of)
