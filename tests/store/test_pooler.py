"""Through a pooler that gives a server to each transaction, everything works and every limit holds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

from api.app import create_app
from recorder.audit.verify.runner import verify
from recorder.audit.verify.tasks import tasks_of
from recorder.store.engine import check_url, open_engine, with_pooler
from recorder.store.groups import list_groups
from recorder.store.migrate import upgrade
from recorder.store.schema import state_of
from recorder.store.transactions import DatabaseUnavailableError, reading, writing
from tests.support.api_client import Client
from tests.support.databases import postgres_database
from tests.support.forker import Forker
from tests.support.pgbouncer import SERVERS, running_pgbouncer
from tests.support.program import KEY, Program
from tests.support.recording import Recording, active

COMMANDS = (
    ("db", "upgrade"),
    ("watch", "group"),
    ("groups", "--json"),
    ("status", "group"),
    ("gaps", "group"),
    ("completion",),
    ("db", "check"),
    ("db", "grants"),
    ("db", "rebuild"),
    ("verify",),
    ("export",),
)
THREADS, ROUNDS = 4 * SERVERS, 15
"""Statements are prepared at the sixth execution, unless that is switched off."""
DROPPED = "options,extra_float_digits"
TELLING = {"found out": None, "told": "transaction"}


@pytest.fixture(scope="module", params=["", DROPPED], ids=["options refused", "options dropped"])
def pooler(request: pytest.FixtureRequest, postgres: str) -> Iterator[str]:
    with running_pgbouncer(postgres, ignored=request.param) as url:
        yield url


@pytest.fixture
def behind(postgres: str, postgres_template: str) -> Iterator[str]:
    with postgres_database(postgres, "pooled", postgres_template) as url:
        yield url


@pytest.fixture(params=TELLING)
def url(request: pytest.FixtureRequest, pooler: str, behind: str) -> str:
    """A database through the pooler, which the URL tells or does not."""
    address = check_url(f"{pooler.rsplit('/', 1)[0]}/{behind.rsplit('/', 1)[1]}")
    return with_pooler(address, TELLING[request.param]).render_as_string(hide_password=False)


@contextmanager
def opened(url: str, *, read_only: bool = False, timeout_seconds: float | None = None) -> Iterator[Engine]:
    engine = open_engine(check_url(url), read_only=read_only, timeout_seconds=timeout_seconds)
    try:
        yield engine
    finally:
        engine.dispose()


def setting(engine: Engine, name: str) -> object:
    with reading(engine) as connection:
        return connection.scalar(text("SELECT current_setting(:name)"), {"name": name})


def test_many_clients_share_few_servers(url: str) -> None:
    with opened(url) as writer, opened(url, read_only=True, timeout_seconds=10) as reader:
        recording = Recording(writer)
        for number in range(ROUNDS):
            recording.watch(f"group {number}")
            recording.see(f"group {number}", 10, active(running=number))
        client = Client(create_app(reader))
        with ThreadPoolExecutor(THREADS) as threads:
            asked = [threads.submit(client.get, "/api/v1/groups") for _ in range(THREADS * ROUNDS)]
            read = [threads.submit(lambda: setting(writer, "timezone")) for _ in range(THREADS * ROUNDS)]
            assert {len(question.result()["items"]) for question in asked} == {ROUNDS}
            assert {question.result() for question in read} == {"UTC"}
        assert [piece.findings for piece in verify(reader, tasks_of(reader))] == [()]


def test_readers_cannot_write(url: str) -> None:
    with opened(url, read_only=True, timeout_seconds=10) as reader:
        for _ in range(2 * SERVERS):
            with (
                pytest.raises(DatabaseUnavailableError, match="read-only"),
                reading(reader) as connection,
            ):
                connection.execute(text("DELETE FROM recorders"))


def test_limits_hold_in_every_transaction(url: str) -> None:
    with opened(url, read_only=True, timeout_seconds=0.3) as reader, opened(url) as writer:
        assert setting(reader, "statement_timeout") == "300ms"
        assert setting(writer, "lock_timeout") == "5s"
        assert setting(writer, "idle_in_transaction_session_timeout") == "5s"
        with (
            pytest.raises(DatabaseUnavailableError, match="longer than it may"),
            reading(reader) as connection,
        ):
            connection.execute(text("SELECT pg_sleep(5)"))


def test_other_clients_of_the_pooler_are_left_alone(url: str, behind: str) -> None:
    names = ("timezone", "lock_timeout", "statement_timeout", "default_transaction_read_only")
    plain = url.replace("+psycopg", "").partition("?")[0]
    with opened(url, read_only=True, timeout_seconds=0.3) as reader, opened(url) as writer:
        for engine in (reader, writer):
            setting(engine, "timezone")
        with psycopg.connect(behind) as server, psycopg.connect(plain, prepare_threshold=None) as other:
            for name in names:
                shown = [link.execute(f"SHOW {name}".encode()).fetchone() for link in (server, other)]
                assert shown[0] == shown[1], name


def test_the_tables_are_made_through_it(url: str, pooler: str, postgres: str) -> None:
    with postgres_database(postgres, "made") as direct:
        with psycopg.connect(direct) as connection:
            connection.execute("CREATE SCHEMA mine")
        through = f"{pooler.rsplit('/', 1)[0]}/{direct.rsplit('/', 1)[1]}"
        with opened(f"{through}?options=-c%20search_path%3Dmine&pooler=transaction") as engine:
            upgrade(engine)
            assert state_of(engine).at_head
            Recording(engine).watch("group")
        with psycopg.connect(direct) as connection:
            schemas = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('entries', 'watches')"
            assert connection.execute(schemas.encode()).fetchall() == [("mine",)]
        with opened(f"{through}?search_path=mine", read_only=True) as engine, reading(engine) as connection:
            assert [group.watch.taskgroup_id for group in list_groups(connection, limit=9)] == ["group"]


def test_commands_through_it(pooler: str, postgres: str, tmp_path: Path, forker: Forker) -> None:
    with postgres_database(postgres, "commanded") as direct:
        through = f"{pooler.rsplit('/', 1)[0]}/{direct.rsplit('/', 1)[1]}"
        settings = {
            "RECORDER_DATABASE_URL": through,
            "PARALLEL_API_KEY": KEY,
            "PARALLEL_BASE_URL": "http://127.0.0.1:1",
            # A failed poll is due again at once.
            "RECORDER_POLL_INTERVAL": "0.1",
            "RECORDER_MAX_INTERVAL": "0.6",
            "RECORDER_GAP_GRACE": "0.1",
        }
        for told in ({}, {"RECORDER_DATABASE_POOLER": "transaction"}):
            program = Program(tmp_path, forker, {**settings, **told})
            for command in COMMANDS:
                program.ok(*command)
            assert "1 failed" in program.run("run", "--once").out


def test_what_cannot_be_passed_on_is_refused_in_words(url: str) -> None:
    joint = "&" if "?" in url else "?"
    for options, words in (("-S 64", "except -c NAME=VALUE"), ("-c nosuch=1", "nosuch")):
        with (
            opened(f"{url}{joint}options={options.replace(' ', '%20').replace('=', '%3D')}") as engine,
            pytest.raises(DatabaseUnavailableError, match=words),
            writing(engine),
        ):
            pass


def test_a_server_for_each_session_is_no_obstacle(postgres: str, behind: str) -> None:
    with running_pgbouncer(behind, mode="session") as url:
        for pooler in ("", "?pooler=none"):
            with opened(url + pooler) as engine:
                for _ in range(ROUNDS):
                    assert setting(engine, "lock_timeout") == "5s"
