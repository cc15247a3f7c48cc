"""The program in its own folder, with a database of each kind, and a simulated upstream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from recorder.simulator import SimulatorSettings
from tests.support.forker import Forker
from tests.support.program import KEY, PASSWORD, Program
from tests.support.recording import Recording
from tests.support.scripted_upstream import Upstream
from tests.support.simulator import simulating


@pytest.fixture
def bare(tmp_path: Path, forker: Forker) -> Program:
    """The program without settings, in an empty folder."""
    return Program(tmp_path, forker)


@pytest.fixture
def program(tmp_path: Path, forker: Forker, database_url: str) -> Program:
    """The program with a fresh database at the latest revision, and a password in its URL."""
    return Program(
        tmp_path, forker, {"PARALLEL_API_KEY": KEY, "RECORDER_DATABASE_URL": with_password(database_url)}
    )


@pytest.fixture
def blank(tmp_path: Path, forker: Forker, blank_database_url: str) -> Program:
    """The program with an empty database."""
    url = with_password(blank_database_url)
    return Program(tmp_path, forker, {"PARALLEL_API_KEY": KEY, "RECORDER_DATABASE_URL": url})


@pytest.fixture
def recording(engine: Engine) -> Recording:
    return Recording(engine)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A simulated upstream, shared by a module's tests."""
    log = tmp_path_factory.mktemp("upstream") / "requests.log"
    with simulating(SimulatorSettings(api_key=KEY, log_path=log)) as url, Upstream(url, log) as upstream:
        yield upstream


def with_password(url: str) -> str:
    """Add a password to a PostgreSQL URL, which the test server ignores; SQLite URLs stay the same."""
    return url.replace("postgres@", f"postgres:{PASSWORD}@")
