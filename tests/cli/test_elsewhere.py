"""A recorder that is running with another database, or with the same one, is named where that helps."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from recorder.database_url import database_key
from recorder.status_file import StatusFile
from tests.support.postgres import free_port
from tests.support.program import Program

WELL = {"failing_since": None, "error": None}
ELSEWHERE = "a recorder of yours is running with another database: sqlite:////there.db"
USUAL = f"tgrp_{'0' * 32}"


@pytest.fixture
def recorder_of(bare: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Lets this process look like a recorder of the database with a given address."""
    monkeypatch.setattr("recorder.status_file._folder", lambda: bare.temporary)
    with ExitStack() as stack:

        def look_like(url: str) -> None:
            file = StatusFile(database_key(url), url)
            file.write(WELL, heartbeat=True)
            stack.callback(file.remove)

        yield look_like


def test_a_missing_database(bare: Program, recorder_of: Callable[[str], None]) -> None:
    before = bare.run("groups").complaint()
    assert before.endswith("create one with: recorder db upgrade")
    recorder_of("sqlite:////there.db")
    assert bare.run("groups").complaint() == f"{before} ({ELSEWHERE})"


def test_a_second_database(bare: Program, recorder_of: Callable[[str], None]) -> None:
    recorder_of("sqlite:////there.db")
    place = f"sqlite:///{bare.folder}/recorder.db"
    assert bare.run("watch", USUAL).complaints == [f"created the tables in {place}", f"Note: {ELSEWHERE}"]
    assert bare.run("groups").complaints == [f"Note: {ELSEWHERE}"]
    assert f"Note: {ELSEWHERE}" in bare.run("wait", USUAL, "--timeout", "0.01").complaints


def test_an_empty_list_names_the_database(bare: Program) -> None:
    bare.ok("db", "upgrade")
    place = f"sqlite:///{bare.folder}/recorder.db"
    assert bare.ok("groups").startswith(f"no groups in {place}; watch one with: recorder watch ID\n")


def test_a_recorder_of_the_same_database_is_not_elsewhere(
    bare: Program, recorder_of: Callable[[str], None]
) -> None:
    recorder_of(f"sqlite:///{bare.folder}/recorder.db")
    bare.ok("db", "upgrade")
    assert bare.run("groups").complaints == []


def test_a_port_in_use(bare: Program, recorder_of: Callable[[str], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serving = bare.using(PARALLEL_API_KEY="k", RECORDER_API_PORT=str(taken.getsockname()[1]))
        assert serving.run("up").complaint().endswith("choose another with RECORDER_API_PORT")
        recorder_of("sqlite:////there.db")
        assert serving.run("up").complaint().endswith(f"({ELSEWHERE})")
        recorder_of(f"sqlite:///{Path(bare.folder) / 'recorder.db'}")
        assert "is running with this database already, as process" in serving.run("up").complaint()


def test_a_second_recorder_of_a_file_says_so(bare: Program, recorder_of: Callable[[str], None]) -> None:
    recorder_of(f"sqlite:///{bare.folder}/recorder.db")
    bare.ok("db", "upgrade")
    unreachable = bare.using(PARALLEL_API_KEY="k", PARALLEL_BASE_URL=f"http://127.0.0.1:{free_port()}")
    with unreachable.start("run") as running:
        running.wait_for("another recorder records into this SQLite file")
        running.wait_for("recording  ")
        assert running.stop() == 0
