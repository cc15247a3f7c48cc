"""The parameters of a PostgreSQL URL are obeyed, and what the recorder sets beside them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import Engine, text

from recorder.store.dialects.base import DatabaseUrlError
from recorder.store.engine import check_url, display_url, open_engine
from recorder.store.grants import Roles, apply
from recorder.store.groups import list_groups
from recorder.store.migrate import upgrade
from recorder.store.schema import SchemaError, require_suitable
from recorder.store.schema_diff import differences
from recorder.store.transactions import DatabaseUnavailableError, reading, writing
from tests.support.postgres import free_port
from tests.support.program import wait_until
from tests.support.recording import Recording

on_postgresql = pytest.mark.parametrize("blank_database_url", ["postgresql"], indirect=True)

LIMITS = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "default_transaction_read_only": "off",
}


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Engine]:
    engine = open_engine(check_url(url), **options)
    try:
        yield engine
    finally:
        engine.dispose()


def show(engine: Engine, name: str) -> object:
    with reading(engine) as connection:
        return connection.scalar(text("SELECT current_setting(:name)"), {"name": name})


def test_limits_of_a_session(postgres: str) -> None:
    with opened(postgres) as engine:
        assert {name: show(engine, name) for name in LIMITS} == LIMITS
    with opened(postgres, read_only=True, timeout_seconds=3) as engine:
        assert show(engine, "statement_timeout") == "3s"
        assert show(engine, "default_transaction_read_only") == "on"
        assert show(engine, "transaction_read_only") == "on"


@pytest.mark.parametrize("pooler", ["", "&pooler=transaction"])
def test_options_of_the_url_come_first(postgres: str, pooler: str) -> None:
    options = "-c lock_timeout=7s --work-mem=5MB -cidle_in_transaction_session_timeout=9s"
    url = f"{postgres}?options={options.replace(' ', '%20').replace('=', '%3D')}{pooler}"
    with opened(url, timeout_seconds=3) as engine:
        assert show(engine, "lock_timeout") == "7s"
        assert show(engine, "work_mem") == "5MB"
        assert show(engine, "idle_in_transaction_session_timeout") == "9s"
        assert show(engine, "statement_timeout") == "3s"


def test_nothing_in_the_url_lets_readers_write(postgres: str) -> None:
    options = "-c%20default_transaction_read_only%3Doff%20-c%20transaction_read_only%3Doff"
    with opened(f"{postgres}?options={options}", read_only=True) as engine:
        assert show(engine, "transaction_read_only") == "on"


@on_postgresql
@pytest.mark.parametrize("given", ["options=-c%20search_path%3Dmine", "search_path=mine"])
def test_everything_follows_the_search_path(blank_database_url: str, given: str) -> None:
    with psycopg.connect(blank_database_url, autocommit=True) as server:
        server.execute("CREATE SCHEMA mine")
        # Somebody else's tables in the usual place are no matter.
        server.execute("CREATE TABLE public.entries (other integer)")
        with opened(f"{blank_database_url}?{given}") as engine:
            upgrade(engine)
            Recording(engine).watch("group")
            assert differences(engine) == []
            with engine.connect() as connection, connection.begin() as transaction:
                roles = Roles("mine_recorder", "mine_api", "mine_reporting")
                for role in ("mine_recorder", "mine_api", "mine_reporting"):
                    connection.execute(text(f"CREATE ROLE {role}"))
                apply(connection, roles)
                for schema, allowed in (("mine", True), ("public", False)):
                    asked = text(f"SELECT has_table_privilege('mine_api', '{schema}.entries', 'SELECT')")
                    assert connection.scalar(asked) is allowed
                transaction.rollback()
        with opened(f"{blank_database_url}?{given}", read_only=True) as engine, reading(engine) as connection:
            assert [group.watch.taskgroup_id for group in list_groups(connection, limit=9)] == ["group"]
        placed = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('watches', 'alembic_version')"
        assert server.execute(placed.encode()).fetchall() == [("mine",)]


@on_postgresql
def test_a_search_path_without_a_schema_is_refused(blank_database_url: str) -> None:
    with (
        opened(f"{blank_database_url}?search_path=nowhere") as engine,
        pytest.raises(SchemaError, match="nowhere"),
    ):
        upgrade(engine)


def test_the_connection_says_who_it_is(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(postgres, name="recorder run") as engine:
        assert show(engine, "application_name") == f"recorder run {socket.gethostname()} {os.getpid()}"
    monkeypatch.setattr(socket, "gethostname", lambda: "h" * 100)
    with opened(postgres, name="recorder run") as engine:
        assert str(show(engine, "application_name")).endswith(f"h {os.getpid()}")
    with opened(f"{postgres}?application_name=mine") as engine:
        assert show(engine, "application_name") == "mine"
    monkeypatch.setenv("PGAPPNAME", "theirs")
    with opened(postgres) as engine:
        assert show(engine, "application_name") == "theirs"


def test_an_idle_transaction_of_a_writer_ends(postgres: str) -> None:
    url = f"{postgres}?options=-c%20idle_in_transaction_session_timeout%3D50ms"
    with opened(url) as engine, pytest.raises(DatabaseUnavailableError), writing(engine) as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        listed = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        with psycopg.connect(postgres, autocommit=True) as server:
            wait_until(
                lambda: server.execute(listed, [pid]).fetchone() == (0,) or None, "the server to end it"
            )
        connection.execute(text("SELECT 1"))


@pytest.mark.parametrize("threshold", ["none", "0", "2"])
def test_prepared_statements(postgres: str, threshold: str) -> None:
    with opened(f"{postgres}?prepare_threshold={threshold}") as engine, reading(engine) as connection:
        for _ in range(10):
            connection.execute(text("SELECT 1"))
        prepared = connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar()
        assert (prepared == 0) == (threshold == "none")


def test_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing?connect_timeout=2"
        with (
            opened(url) as engine,
            pytest.raises(DatabaseUnavailableError, match="timeout"),
            reading(engine),
        ):
            pass


def test_several_hosts(postgres: str) -> None:
    server = urlsplit(postgres)
    present = f"{server.hostname}:{server.port}"
    missing = f"127.0.0.1:{free_port()}"
    forms = (
        f"postgresql://postgres@{missing},{present}/postgres",
        f"postgresql://postgres@{missing},{present}/postgres?target_session_attrs=any",
        f"postgresql://postgres@/postgres?host={missing}&host={present}",
        f"postgresql://postgres@/postgres?host=127.0.0.1,{server.hostname}&port={missing[10:]},{server.port}",
    )
    for form in forms:
        with opened(form) as engine, reading(engine) as connection:
            assert connection.scalar(text("SELECT inet_server_port()")) == server.port
        assert f"@{missing},{present}/postgres" in display_url(check_url(form))
    with (
        opened(f"postgresql://postgres@{missing},{present}/postgres?target_session_attrs=standby") as engine,
        pytest.raises(DatabaseUnavailableError, match="standby"),
        reading(engine),
    ):
        pass


@pytest.mark.parametrize("attributes", ["read-write", "primary", "prefer-standby"])
def test_readers_find_the_server_that_the_url_wants(postgres: str, attributes: str) -> None:
    with opened(f"{postgres}?target_session_attrs={attributes}", read_only=True) as engine:
        assert show(engine, "transaction_read_only") == "on"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("client_encoding=LATIN1", "client_encoding must be UTF8"),
        ("prepare_threshold=often", "prepare_threshold"),
        ("pooler=session", "none or transaction"),
        ("nonsense=1", "does not know"),
        ("host=a:1&host=b:2&port=3", "do not fit"),
    ],
)
def test_other_values_are_refused_in_words(parameters: str, words: str) -> None:
    with pytest.raises(DatabaseUrlError, match=words):
        check_url(f"postgresql://postgres@/postgres?{parameters}")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_another_encoding_is_refused(postgres: str, encoding: str) -> None:
    name = f"encoded_{encoding}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}".lower()
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}'".encode())
        try:
            with opened(f"{postgres.rsplit('/', 1)[0]}/{name}") as engine:
                with pytest.raises(SchemaError, match=f"{encoding}.*ENCODING 'UTF8'"):
                    upgrade(engine)
                with pytest.raises(SchemaError, match=encoding), reading(engine) as connection:
                    require_suitable(connection)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
