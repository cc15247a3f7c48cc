"""A PostgreSQL server that freezes at various points and later resumes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import Connection, Engine, text

from api.app import create_app
from recorder.store.dialects import postgresql
from recorder.store.engine import check_url, open_engine
from recorder.store.migrate import upgrade
from recorder.store.transactions import DatabaseUnavailableError, reading
from tests.support.api_client import Client
from tests.support.breakable_postgres import Server, own_server
from tests.support.program import WAIT_SECONDS, descendants

GROUPS = "/api/v1/groups"
POOLED, AT_ONCE = 5, 8
SHORT, LONG = 0.5, 3600.0
"""Statement timeouts: one that expires within the test, and one that does not."""

Asks = Callable[[], object]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server() as server:
        engine = open_engine(check_url(server.url))
        upgrade(engine)
        engine.dispose()
        yield server


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "BUSY_TIMEOUT_SECONDS", 1)


@contextmanager
def opened(server: Server, timeout_seconds: float) -> Iterator[Engine]:
    engine = open_engine(check_url(server.url), read_only=True, timeout_seconds=timeout_seconds)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Suspend all processes of the server for the duration of the block, leaving connections open."""
    os.kill(server.pid, signal.SIGSTOP)
    processes = descendants(server.pid)
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in [*processes, server.pid]:
            os.kill(pid, signal.SIGCONT)


def one(engine: Engine, statement: str = "SELECT 1") -> object:
    with reading(engine) as connection:
        return connection.execute(text(statement)).scalar()


def test_a_pool_of_unresponsive_connections(server: Server) -> None:
    with opened(server, LONG) as engine:
        with ExitStack() as stack:
            for _ in range(POOLED):
                stack.enter_context(reading(engine))
        with ThreadPoolExecutor(AT_ONCE) as threads, frozen(server):
            asked = [threads.submit(one, engine) for _ in range(AT_ONCE)]
            errors = [question.exception(WAIT_SECONDS) for question in asked]
        assert {type(error) for error in errors} == {DatabaseUnavailableError}
        assert one(engine) == 1


def a_statement(connection: Connection) -> Asks:
    return lambda: connection.execute(text("SELECT 1"))


def rows(connection: Connection) -> Asks:
    """Fetch the remaining rows of a result after its first row."""
    streamed = connection.execution_options(yield_per=1)
    result = streamed.execute(text("SELECT generate_series(1, 100)"))
    assert next(result) == (1,)

    def rest() -> object:
        with result:
            return result.all()

    return rest


def the_end(connection: Connection) -> Asks:
    connection.execute(text("SELECT 1"))
    transaction = connection.get_transaction()
    assert transaction is not None
    return transaction.commit


@pytest.mark.parametrize("prepare", [a_statement, rows, the_end])
def test_a_missing_response_times_out(server: Server, prepare: Callable[[Connection], Asks]) -> None:
    with opened(server, SHORT) as engine:
        with (
            pytest.raises(DatabaseUnavailableError, match="no answer"),
            reading(engine) as connection,
            ThreadPoolExecutor(1) as threads,
        ):
            asks = prepare(connection)
            with frozen(server):
                threads.submit(asks).result(WAIT_SECONDS)
        assert one(engine) == 1


def test_a_statement_may_take_longer_than_connecting(server: Server) -> None:
    with opened(server, LONG) as engine:
        for _ in range(2):
            assert one(engine, "SELECT 1 FROM pg_sleep(1.5)") == 1


def test_the_api_reports_the_outage_and_recovers(server: Server) -> None:
    with opened(server, LONG) as engine:
        client = Client(create_app(engine))
        assert client.get(GROUPS)["items"] == []
        with ThreadPoolExecutor(2) as threads, frozen(server):
            requests = [threads.submit(client.get_response, path, 503) for path in (GROUPS, "/readyz")]
            responses = [request.result(WAIT_SECONDS) for request in requests]
            assert client.get("/healthz") == {"status": "ok"}
        for response in responses:
            assert response.get_json()["type"] == "/docs/problems#database-unavailable"
            assert response.headers["Retry-After"]
        assert client.get(GROUPS)["items"] == []
        assert client.get("/readyz")["status"] == "ready"
