"""`recorder events`."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine

from recorder.store.events import publish_events
from recorder.store.transactions import writing
from tests.support.program import Program
from tests.support.recording import Recording, active, settled


def _record(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 10, active(running=2))
    recording.see("tgrp_1", 20, settled(completed=2))
    publish(engine)


def publish(engine: Engine) -> None:
    with writing(engine) as connection:
        publish_events(connection)


@pytest.mark.ledger(fill=_record)
def test_an_event_is_a_line(program: Program) -> None:
    started, over = program.ok("events").splitlines()
    assert started.split() == ["1", "2026-11-24", "12:00:10", "group.started", "tgrp_1"]
    assert over.split()[3:5] == ["group.settled", "tgrp_1"]
    assert over.endswith("completed after 15.9 s, 2 runs")
    assert program.ok("events", "--type", "group.settled") == over + "\n"
    assert program.ok("events", "--after", "2") == ""


@pytest.mark.ledger(fill=_record)
def test_json_is_the_page_of_the_api(program: Program) -> None:
    page = json.loads(program.ok("events", "--json"))
    assert [item["id"] for item in page["items"]] == [1, 2]
    assert page["next"] is None


@pytest.mark.ledger(fill=_record)
def test_a_follower_gets_each_event_once_and_ends_cleanly(
    program: Program, engine: Engine, recording: Recording
) -> None:
    with program.start("events", "--follow", "--after", "1", "--json") as follower:
        assert json.loads(follower.wait_for('"id":2'))["type"] == "group.settled"
        recording.see("tgrp_1", 30, active(running=1, completed=2))
        publish(engine)
        assert json.loads(follower.wait_for('"id":3'))["type"] == "group.started"
        assert follower.stop() == 0


def test_bad_options_are_named(bare: Program) -> None:
    complaint = bare.run("events", "--after", "soon", "--type", "group.done").wrong_usage()
    assert "--after is not the id of an event" in complaint
    assert "--type 'group.done' is not one of" in complaint
