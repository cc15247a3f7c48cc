"""Databases for the tests: every test that takes `database_url` runs on SQLite and on PostgreSQL.

Each database is a copy of a template that the migrations made, so no test sees tables that a user's
database would not have.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine

from recorder.store.engine import check_url, open_engine
from recorder.store.migrate import upgrade
from tests.support.postgres import running_postgres

# How long an example takes says more about the machine than about the code.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")

_TEMPLATE = "recorder_template"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server's first database."""
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "recorder.db"
    _upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    _upgrade(_sibling(postgres, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database with the schema at head."""
    if request.param == "sqlite":
        path = tmp_path / "recorder.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
    else:
        template = request.getfixturevalue("postgres_template")
        yield from _new_postgres_database(request.getfixturevalue("postgres"), f"TEMPLATE {template}")


@pytest.fixture(params=["sqlite", "postgresql"])
def blank_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that holds nothing."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'blank.db'}"
    else:
        yield from _new_postgres_database(request.getfixturevalue("postgres"), "")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The recorder's own access to a fresh database."""
    yield from _engine(database_url)


@pytest.fixture
def blank_engine(blank_database_url: str) -> Iterator[Engine]:
    yield from _engine(blank_database_url)


def _engine(url: str) -> Iterator[Engine]:
    engine = open_engine(check_url(url))
    yield engine
    engine.dispose()


def _upgrade(url: str) -> None:
    engine = open_engine(check_url(url))
    upgrade(engine)
    engine.dispose()


def _sibling(url: str, name: str) -> str:
    return f"{url.rsplit('/', 1)[0]}/{name}"


def _new_postgres_database(server: str, options: str) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
    yield _sibling(server, name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
