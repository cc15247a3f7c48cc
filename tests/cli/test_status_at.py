"""`recorder status --at` and `--follow`, and `recorder history --anomaly`."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import Engine

from api.app import create_app
from recorder.clock import utc_now
from recorder.store.engine import check_url, open_engine
from tests.support.databases import ON_SQLITE
from tests.support.program import Program
from tests.support.recording import NOON, Recording, active, settled


def _record(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("one")
    recording.see("one", 10, active(running=2))
    recording.see("one", 20, active(running=2))
    recording.see("one", 30, {**active(running=1, completed=1), "odd": 1})
    for at in (45, 60, 75):
        recording.fail("one", at)
    recording.see("one", 90, settled(completed=2))
    recording.pause("one", 100)


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    engine = open_engine(check_url(database_url), read_only=True)
    yield create_app(engine)
    engine.dispose()


def _time(seconds: int) -> str:
    return f"2026-11-24T12:{seconds // 60:02}:{seconds % 60:02}Z"


@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize(
    ("at", "words"),
    [
        (5, ["before the first response", "2 running"]),
        (15, ["observed: the provider reported", "active", "0/2 finished", "(entry 2)"]),
        (25, ["between two responses", "2 running", "1 running, 1 completed"]),
        (60, ["in a gap", "12:00:30 to 2026-11-24 12:01:30", "server_error (503)"]),
        (95, ["after the last response", "settled"]),
        (110, ["not watched"]),
    ],
)
def test_the_status_at_a_time(program: Program, app: Flask, at: int, words: list[str]) -> None:
    out = program.ok("status", "one", "--at", _time(at))
    assert [word for word in words if word not in out] == []
    response = app.test_client().get(f"/api/v1/groups/one/status?at={_time(at)}").get_json()
    assert json.loads(program.ok("status", "one", "--at", _time(at), "--json")) == response


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--at", "noon"], "--at is not an RFC 3339 time"),
        (["--at", "2999-01-01T00:00:00Z"], "--at is in the future"),
        (["--at", _time(5), "--follow"], "--follow starts from now"),
    ],
)
def test_invalid_times(program: Program, arguments: list[str], words: str) -> None:
    assert words in program.run("status", "one", *arguments).complaint(2)


@pytest.mark.ledger(fill=_record)
def test_history_by_anomaly(program: Program, app: Flask) -> None:
    response = app.test_client().get("/api/v1/groups/one/history?anomaly=unknown_field").get_json()
    body = json.loads(program.ok("history", "one", "--anomaly", "unknown_field", "--json"))
    assert body == response and [item["seq"] for item in body["items"]] == [3]
    wrong = program.run("history", "one", "--anomaly", "strange")
    assert "--anomaly 'strange' is not one of" in wrong.complaint(2)


@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_prints_each_entry_as_it_is_recorded(
    program: Program, recording: Recording, number: signal.Signals
) -> None:
    now = (utc_now() - NOON).total_seconds()
    recording.watch("one", now)
    recording.see("one", now + 1, active(running=4, completed=1))
    with program.start("status", "one", "--follow") as running:
        running.wait_for("reported until")
        recording.pause("one", now + 2)
        running.wait_for("paused by ada")
        recording.watch("one", now + 3)
        running.wait_for("resumed by ada")
        recording.see("one", now + 4, active(running=3, completed=2))
        line = running.wait_for("after the break")
        assert "active" in line and "2/5" in line
        assert running.stop(number) == 0
        assert "not done: active, 2/5 runs finished" in running.printed


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize(("failed", "words"), [(0, "all runs completed"), (1, "settled")])
def test_following_ends_when_the_group_is_done(
    program: Program, recording: Recording, failed: int, words: str
) -> None:
    now = (utc_now() - NOON).total_seconds()
    recording.watch("one", now)
    with program.start("status", "one", "--follow") as running:
        running.wait_for("reported until")
        recording.see("one", now + 1, settled(completed=4, failed=failed))
        line = running.wait_for("done: ")
        assert line.startswith("done: ") and words in line
        assert running.wait(60) == 0
    assert program.run("status", "one", "--follow").err.startswith("done: ")


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_following_as_json(program: Program, recording: Recording) -> None:
    now = (utc_now() - NOON).total_seconds()
    recording.watch("one", now)
    recording.see("one", now + 1, active(running=2))
    with program.start("status", "one", "--follow", "--json") as running:
        running.wait_for('"digest"')
        recording.pause("one", now + 2)
        line = running.wait_for('"kind":"watch"')
        assert json.loads(line)["watch"]["action"] == "paused"
        recording.watch("one", now + 3)
        recording.see("one", now + 4, {**active(running=1), "status_message": "a line\u2028or two\x85"})
        line = running.wait_for('"kind":"status"')
        assert json.loads(line)["status"]["status_message"] == "a line\u2028or two\x85"
        assert running.stop() == 0


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_following_an_unknown_group(program: Program) -> None:
    assert "was ever watched" in program.run("status", "nobody", "--follow").complaint()
