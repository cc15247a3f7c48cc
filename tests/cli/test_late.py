"""`recorder groups --late`: which recorders are alive, what is late, and why."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from recorder.clock import utc_now
from recorder.ledger.timestamps import format_time
from recorder.store.enrolment import watch_group
from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.transactions import writing
from tests.support.program import Program
from tests.support.stories import RULES

POLLING = {"last_poll_at": None, "response_seconds": 0.1, "limited_by": None}
WRITING = {"last_write_at": None, "failures": 0, "failing_since": None, "error": None, "write_seconds": 0.01}
RATE = {"requests_per_second": 20.0, "needed_per_second": 2.0, "stretch": 1.0}


def send(engine: Engine, name: str, *, age: float = 0, **report: Any) -> None:
    """Send a heartbeat `age` seconds ago, with what is given on top of a report without problems."""
    at = utc_now() - timedelta(seconds=age)
    members = {"polling": POLLING, "writing": WRITING, "rate": RATE, "clock_offset_seconds": 0.0}
    members |= {name: {**members.get(name, {}), **text} for name, text in report.items()}
    with writing(engine) as connection:
        beat(connection, Heartbeat(name, name, 7, at, at, {}, members))


def overdue(engine: Engine) -> None:
    hour_ago = utc_now() - timedelta(hours=1)
    watch_group(engine, "overdue", actor="ada", note=None, now=lambda: hour_ago, rules=RULES)


def late(program: Program) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(program.ok("groups", "--late", "--json"))
    return told


def reasons(program: Program) -> list[tuple[str, str | None]]:
    return [(reason["reason"], reason["recorder_id"]) for reason in late(program)["late"]["reasons"]]


def test_nothing_is_late(program: Program, engine: Engine) -> None:
    send(engine, "one")
    told = late(program)
    assert told["items"] == [] and told["rate_budget"]["recorders"] == 1
    assert told["late"] == {"open_gaps": 0, "due_polls": 0, "late_seconds": 0.0, "reasons": []}
    assert [(recorder["recorder_id"], recorder["recording"]) for recorder in told["recorders"]] == [
        ("one", True)
    ]
    first, *_, last = program.ok("groups", "--late").splitlines()
    assert (first, last) == ("no group is late", "0 open gaps; 0 polls are due")


def test_one_of_each_is_no_plural(program: Program, engine: Engine) -> None:
    overdue(engine)
    send(engine, "one")
    assert any("1 open gap; 1 poll is due" in line for line in program.ok("groups", "--late").splitlines())


def test_no_recorder_is_alive(program: Program, engine: Engine) -> None:
    overdue(engine)
    send(engine, "dead", age=60)
    told = late(program)
    assert [item["taskgroup_id"] for item in told["items"]] == ["overdue"]
    assert told["late"]["open_gaps"] == told["late"]["due_polls"] == 1
    assert told["late"]["late_seconds"] == pytest.approx(3600, abs=60)
    assert reasons(program) == [("no_recorder", None)]
    text = program.ok("groups", "--late")
    assert "stopped" in text and "no recorder is running" in text


FAILING = {"failures": 9, "failing_since": "2026-11-24T12:00:00.000000Z", "error": "disk \x1b full"}
TROUBLE = {"since": "2026-11-24T12:00:00.000000Z", "failures": {"timeout": 3}}


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"writing": FAILING}, "not_writing"),
        ({"writing": {"write_seconds": 2.5}}, "database_slow"),
        ({"polling": {"limited_by": "rate"}}, "rate"),
        ({"rate": {"stretch": 1.5}}, "rate"),
        *(
            ({"rate": {"stretch": 1.5, "limited_by": limit, "capacity_per_second": 1.3}}, reason)
            for limit, reason in (("concurrency",) * 2, ("cpu",) * 2, ("database", "database_slow"))
        ),
        ({"polling": {"limited_by": "cpu"}}, "cpu"),
        ({"polling": {"limited_by": "database"}}, "database_slow"),
        ({"polling": {"limited_by": "concurrency"}}, "concurrency"),
        ({"polling": {"limited_by": "concurrency", "response_seconds": 4.0}}, "provider_slow"),
        ({"polling": {"limited_by": "key_rejected"}}, "key_rejected"),
        ({"upstream": {"state": "failing", "trouble": TROUBLE}}, "provider_failing"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_why(program: Program, engine: Engine, report: dict[str, Any], reason: str) -> None:
    overdue(engine)
    send(engine, "fine")
    send(engine, "one", **report)
    assert reasons(program) == [(reason, "one")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_hold_is_a_reason(program: Program, engine: Engine) -> None:
    overdue(engine)
    at = utc_now()
    until = format_time(at + timedelta(seconds=60))
    with writing(engine) as connection:
        report = {"polling": {**POLLING, "limited_by": "retry_after"}, "held_until": until}
        beat(connection, Heartbeat("one", "one", 7, at, at, {}, report))
    assert reasons(program) == [("retry_after", "one")]


def test_recorders_that_cannot_write_are_told_without_being_asked_for(
    program: Program, engine: Engine
) -> None:
    send(engine, "fine")
    send(engine, "full", writing=FAILING)
    send(engine, "dead", age=60)
    text = program.ok("groups")
    assert "the recorder on full pid 7 cannot write to the database: 9 failed writes" in text
    assert r"last: disk \x1b full" in text
    assert "the recorder on dead pid 7 has stopped: its last heartbeat was 1 min" in text
    assert "fine" not in text
    table = program.ok("groups", "--late")
    assert "cannot write" in table and "stopped" in table and "recording" in table
