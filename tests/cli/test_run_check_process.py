"""`recorder run --check` and the process of the recorder, which several machines of one name may have."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from recorder.clock import steady_seconds, utc_now
from recorder.database_url import database_key
from recorder.process_identity import ProcessIdentity, this_machine, this_process
from recorder.status_file import ALIVE_SECONDS, StatusFile
from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.transactions import writing
from tests.support.program import Program, command_line

WELL = {"failing_since": None, "error": None}
FULL = {"failing_since": "2026-11-24T12:00:00.000000Z", "error": "disk full"}
RUNS = "a recorder is running on"
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
pytestmark = ON_SQLITE


@pytest.fixture(autouse=True)
def temporary(program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program's folder for temporary files, which this process uses too."""
    folder = program.temporary
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.fixture
def status(program: Program) -> Iterator[StatusFile]:
    """The status file of this process, which stands for a recorder."""
    file = StatusFile(database_key(program.settings["RECORDER_DATABASE_URL"]))
    yield file
    file.remove()


def send(engine: Engine, process: ProcessIdentity, writing_report: dict[str, Any] = WELL) -> None:
    at = utc_now()
    report = {"process": process.as_json(), "writing": writing_report}
    with writing(engine) as connection:
        beat(connection, Heartbeat(f"{process.pid}", "any", process.pid, at, at, {}, report))


def check(program: Program) -> str:
    return program.run("run", "--check").complaint()


def test_a_recorder_that_says_it_is_well(program: Program, status: StatusFile) -> None:
    status.write(WELL, heartbeat=True)
    assert program.ok("run", "--check").startswith(RUNS)


def test_a_recorder_that_cannot_write(program: Program, status: StatusFile) -> None:
    status.write(FULL, heartbeat=True)
    assert "has not been able to write since 2026-11-24T12:00:00.000000Z: disk full" in check(program)


def test_a_recorder_whose_heartbeats_fail(
    program: Program, status: StatusFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = steady_seconds() - ALIVE_SECONDS - 5
    monkeypatch.setattr("recorder.status_file.steady_seconds", lambda: long_ago)
    status.write(WELL, heartbeat=True)
    assert "has sent no heartbeat for" in check(program)


def test_a_recorder_of_another_database(program: Program, status: StatusFile) -> None:
    status.write(WELL, heartbeat=True)
    other = program.using(RECORDER_DATABASE_URL="sqlite:///other.db")
    other.ok("db", "upgrade")
    assert "no recorder" in check(other)


def test_the_address_in_the_settings_file_counts(program: Program, status: StatusFile) -> None:
    status.write(WELL, heartbeat=True)
    url = program.settings["RECORDER_DATABASE_URL"]
    (program.folder / ".env").write_text(f"RECORDER_DATABASE_URL={url}\n")
    settings = {name: text for name, text in program.settings.items() if name != "RECORDER_DATABASE_URL"}
    assert replace(program, settings=settings).ok("run", "--check").startswith(RUNS)


def test_without_a_file_the_heartbeats_count(program: Program, engine: Engine) -> None:
    send(engine, this_process())
    assert program.ok("run", "--check").startswith(RUNS)
    send(engine, this_process(), FULL)
    assert "disk full" in check(program)


def test_a_killed_recorder_and_one_on_another_machine_do_not_count(program: Program, engine: Engine) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    send(engine, ProcessIdentity(this_machine(), ended.pid, "1"))
    # The process id was given to another process since.
    send(engine, ProcessIdentity(this_machine(), os.getppid(), "1"))
    mine = this_process()
    send(engine, ProcessIdentity("another machine", mine.pid, mine.started))
    assert "no recorder" in check(program)


def test_a_file_that_is_no_status_is_ignored(program: Program, temporary: Path, status: StatusFile) -> None:
    status.write(WELL, heartbeat=True)
    (path,) = temporary.glob("task-group-recorder-*.json")
    for text in ("", "[]", '{"process": 1}', "{}"):
        path.write_text(text)
        assert "no recorder" in check(program)


def test_a_check_is_cheap(program: Program, status: StatusFile) -> None:
    status.write(WELL, heartbeat=True)
    before = os.times()
    subprocess.run(
        command_line("run", "--check"),
        check=True,
        cwd=program.folder,
        env=program.environment,
        stdout=subprocess.DEVNULL,
    )
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 0.4
