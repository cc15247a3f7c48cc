"""Events in words."""

from __future__ import annotations

import pytest

from recorder.notify.events import Event, EventType
from recorder.notify.made_up import made_up_event
from recorder.notify.sink_file import read_sink_file
from recorder.notify.wording import text_of_event, title_of
from tests.support.ledgers import time


def test_the_words_of_a_settled_group() -> None:
    data = {
        "taskgroup_id": "tgrp_1",
        "outcome": "completed",
        "started": {"at": "2026-11-24T12:00:00.000000Z", "earliest": None},
        "milestones": [],
    }
    event = Event(EventType.SETTLED, "1", time(0), "tgrp_1", 3, data)
    assert title_of(event) == "Group settled: completed"
    assert text_of_event(event).splitlines() == [
        "at: 2026-11-24T12:00:00.000000Z",
        "taskgroup id: tgrp_1",
        "outcome: completed",
        "started at: 2026-11-24T12:00:00.000000Z",
    ]


@pytest.mark.parametrize("kind", EventType)
def test_every_type_can_be_made_up_and_told(kind: EventType) -> None:
    text = f"[[notify]]\nname = 'a'\nurl_env = 'URL'\nevents = ['{kind}']"
    (sink,) = read_sink_file(text, {"URL": "json://localhost"}).sinks
    event = made_up_event(sink, time(0))
    assert (event.type, event.data["test"]) == (kind, True)
    assert title_of(event) and "test: True" in text_of_event(event)
