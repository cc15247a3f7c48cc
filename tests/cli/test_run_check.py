"""`recorder run --check`: whether a recorder is running on this machine, regardless of a read replica."""

from __future__ import annotations

import socket
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from recorder.clock import utc_now
from recorder.status_file import ALIVE_SECONDS
from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.transactions import writing
from tests.support.program import Program

HOST = socket.gethostname()
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def replicated(program: Program) -> Program:
    """The program with a read replica that lags so far behind that it shows no recorder."""
    replica = f"sqlite:///{program.folder / 'replica.db'}"
    program.using(RECORDER_DATABASE_URL=replica).ok("db", "upgrade")
    return program.using(RECORDER_READ_DATABASE_URL=replica)


def write_heartbeat(engine: Engine, *, host: str = HOST, age_seconds: float = 0) -> None:
    at = utc_now() - timedelta(seconds=age_seconds)
    with writing(engine) as connection:
        beat(connection, Heartbeat(f"{host}-1", host, 1, at, at, {}, {}))


def test_a_lagging_replica_does_not_hide_a_running_recorder(replicated: Program, engine: Engine) -> None:
    write_heartbeat(engine)
    assert replicated.ok("run", "--check") == f"a recorder is running on {HOST}\n"


@ON_SQLITE
def test_a_replica_that_still_shows_a_recorder_is_ignored(program: Program, engine: Engine) -> None:
    write_heartbeat(engine)
    ended = program.using(
        RECORDER_DATABASE_URL="sqlite:///other.db",
        RECORDER_READ_DATABASE_URL=program.settings["RECORDER_DATABASE_URL"],
    )
    ended.ok("db", "upgrade")
    assert f"no recorder on {HOST}" in ended.run("run", "--check").complaint()


@pytest.mark.parametrize("heartbeat", [{"age_seconds": ALIVE_SECONDS + 5}, {"host": "another"}])
@ON_SQLITE
def test_old_heartbeats_and_those_of_other_machines_are_ignored(
    program: Program, engine: Engine, heartbeat: dict[str, float | str]
) -> None:
    write_heartbeat(engine, **heartbeat)  # type: ignore[arg-type]
    assert f"in the last {ALIVE_SECONDS} s" in program.run("run", "--check").complaint()


@ON_SQLITE
def test_a_database_that_cannot_be_read_is_named(replicated: Program) -> None:
    for url in ("sqlite:///missing.db", "postgresql://nobody@127.0.0.1:1/none"):
        line = replicated.using(RECORDER_DATABASE_URL=url).run("run", "--check").complaint()
        assert "RECORDER_DATABASE_URL" in line and url.rpartition("/")[2] in line
