"""Fixtures for databases and processes, and the order in which tests run.

Every test that takes `database_url` runs on SQLite and on PostgreSQL. Each database is a copy of a template
that the migrations made, so no test sees tables that a user's database would not have.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine

from tests.support.databases import (
    Engines,
    FilledTemplates,
    make_postgres_template,
    postgres_database,
    sqlite_database,
    upgrade_database,
)
from tests.support.forker import Forker, running_forker
from tests.support.integration import MARK, Isolation, is_integration
from tests.support.order import in_order
from tests.support.postgres import shared_postgres, stop_shared_postgres

# The time an example takes depends more on the machine than on the code.
hypothesis_settings.register_profile("usual", deadline=None, max_examples=50)
hypothesis_settings.register_profile("quick", deadline=None, max_examples=10, stateful_step_count=15)
hypothesis_settings.register_profile("thorough", deadline=None, max_examples=500)
hypothesis_settings.load_profile("usual")

_SERVER = pytest.StashKey[Path]()
_ISOLATION = pytest.StashKey[Isolation]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose a folder for the PostgreSQL server that all workers share."""
    config.stash[_ISOLATION] = Isolation()
    if (given := getattr(config, "workerinput", None)) is not None:
        config.stash[_SERVER] = Path(given["postgres"])
    else:
        folder = config.stash[_SERVER] = Path(tempfile.mkdtemp(prefix="recorder-pg-"))
        config.add_cleanup(lambda: stop_shared_postgres(folder))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["postgres"] = str(node.config.stash[_SERVER])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark integration tests, and put all into the order in which they take the least time."""
    for item in filter(is_integration, items):
        item.add_marker(MARK)
    items[:] = in_order(items, workers=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with item.config.stash[_ISOLATION].during(item):
        return (yield)


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> str:
    """The URL of a PostgreSQL server's first database."""
    return shared_postgres(pytestconfig.stash[_SERVER])


@pytest.fixture(scope="session")
def postgres_template(postgres: str, pytestconfig: pytest.Config) -> str:
    return make_postgres_template(postgres, pytestconfig.stash[_SERVER])


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "recorder.db"
    upgrade_database(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def sqlite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sqlite")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, templates: FilledTemplates) -> Iterator[str]:
    """The URL of a fresh database with the schema at head.

    It is empty, or with the mark `ledger(fill=…)` a copy of a database that `fill(engine)` has filled; it
    does so once for all tests with the same `fill`.
    """
    get, mark = request.getfixturevalue, request.node.get_closest_marker("ledger")
    fill = None if mark is None else mark.kwargs["fill"]
    if request.param == "sqlite":
        template = templates.sqlite(get("sqlite_template"), fill)
        with sqlite_database(get("sqlite_folder") / "recorder.db", template) as url:
            yield url
    else:
        server = get("postgres")
        name = templates.postgres(server, get("postgres_template"), fill)
        with postgres_database(server, "recorder", name) as url:
            yield url


@pytest.fixture(scope="session")
def templates(kept_engines: Engines) -> Iterator[FilledTemplates]:
    with FilledTemplates(kept_engines) as templates:
        yield templates


@pytest.fixture(params=["sqlite", "postgresql"])
def blank_database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database."""
    get = request.getfixturevalue
    if request.param == "sqlite":
        with sqlite_database(get("sqlite_folder") / "blank.db") as url:
            yield url
    else:
        with postgres_database(get("postgres"), "blank") as url:
            yield url


@pytest.fixture(scope="session")
def kept_engines() -> Engines:
    return Engines()


@pytest.fixture
def engine(kept_engines: Engines, database_url: str) -> Iterator[Engine]:
    """An engine for a fresh database, opened as the recorder opens it."""
    with kept_engines.open(database_url) as engine:
        yield engine


@pytest.fixture
def blank_engine(kept_engines: Engines, blank_database_url: str) -> Iterator[Engine]:
    with kept_engines.open(blank_database_url) as engine:
        yield engine


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    """A process that has loaded the program and runs commands in forked children."""
    with running_forker() as forker:
        yield forker
