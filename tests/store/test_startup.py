"""A server that is not there yet is waited for; one that refuses is not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from recorder.store import startup
from recorder.store.dialects.registry import dialect_named
from recorder.store.engine import check_url, open_engine
from recorder.store.migrate import upgrade
from recorder.store.startup import wait_for_server
from recorder.store.transactions import DatabaseUnavailableError
from tests.support.breakable_postgres import Server, own_server
from tests.support.postgres import free_port
from tests.support.program import KEY, Program

WAITING = "waiting up to 60 s for the database at "
GOES_ON = {
    ("db", "upgrade"): " -> ",
    ("run",): "recording",
    ("serve",): "API at",
    ("up",): "recording",
}


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = open_engine(check_url(url))
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server() as server:
        with opened(server.url) as engine:
            upgrade(engine)
        yield server


@pytest.mark.parametrize("command", GOES_ON, ids=" ".join)
def test_it_is_waited_for(server: Server, tmp_path: Path, command: tuple[str, ...]) -> None:
    settings = {
        "RECORDER_DATABASE_URL": server.url,
        "PARALLEL_API_KEY": KEY,
        "PARALLEL_BASE_URL": "http://127.0.0.1:1",
        "RECORDER_API_PORT": str(free_port()),
    }
    program = Program(tmp_path, settings=settings)
    server.crash()
    with program.start(*command) as running:
        running.wait_for(WAITING)
        server.start()
        running.wait_for(GOES_ON[command])
        if command == ("run",):
            listed = server.execute("SELECT application_name FROM pg_stat_activity")
            assert (f"recorder run {socket.gethostname()} {running.process.pid}",) in listed
        running.stop()
        assert running.printed.count(WAITING) == 1


def test_it_is_not_waited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "SERVER_WAIT_SECONDS", 1)
    said: list[str] = []
    with (
        opened(f"postgresql://postgres@127.0.0.1:{free_port()}/postgres") as engine,
        pytest.raises(DatabaseUnavailableError, match="refused"),
    ):
        wait_for_server(engine, said.append)
    assert len(said) == 1


@pytest.mark.parametrize(("change", "words"), [("/nosuch", "nosuch"), ("nobody@", "nobody")])
def test_a_refusal_is_final(postgres: str, change: str, words: str) -> None:
    url = postgres.replace("postgres@", change) if "@" in change else postgres.rpartition("/")[0] + change
    with opened(url) as engine, pytest.raises(DatabaseUnavailableError, match=words):
        wait_for_server(engine, pytest.fail)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('connection failed: FATAL:  password authentication failed for user "ann"', False),
        ("connection failed: fe_sendauth: no password supplied", False),
        ("connection failed: server does not support SSL, but SSL was required", False),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', False),
        ("connection failed: FATAL:  the database system is starting up", True),
        ("connection failed: FATAL:  the database system is not yet accepting connections", True),
        ("connection failed: FATAL:  pgbouncer cannot connect to server", True),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", True),
        ("connection timeout expired", True),
        ("connection failed: server closed the connection unexpectedly", True),
    ],
)
def test_what_is_waited_for(message: str, expected: bool) -> None:
    assert dialect_named("postgresql").may_come(psycopg.OperationalError(message)) is expected
