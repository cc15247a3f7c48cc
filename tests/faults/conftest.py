"""The program, and databases of both kinds at once, so that the long stories here can run concurrently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import postgres_database, sqlite_database
from tests.support.forker import Forker
from tests.support.program import Program


@pytest.fixture
def program(tmp_path: Path, forker: Forker) -> Program:
    return Program(tmp_path, forker)


@pytest.fixture
def databases(
    tmp_path: Path, sqlite_template: Path, postgres: str, postgres_template: str
) -> Iterator[dict[str, str]]:
    """The URLs of fresh databases, by kind."""
    with (
        sqlite_database(tmp_path / "recorder.db", sqlite_template) as file,
        postgres_database(postgres, "recorder", postgres_template) as database,
    ):
        yield {"sqlite": file, "postgresql": database}
