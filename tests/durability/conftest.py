"""A fresh database of each kind, both at once: the stories here are long, and play side by side."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest


@pytest.fixture
def databases(
    tmp_path: Path, sqlite_template: Path, postgres: str, postgres_template: str
) -> Iterator[dict[str, str]]:
    """The URL of a fresh database by its kind."""
    file, name = tmp_path / "recorder.db", f"test_{secrets.token_hex(6)}"
    shutil.copyfile(sqlite_template, file)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield {"sqlite": f"sqlite:///{file}", "postgresql": f"{postgres.rsplit('/', 1)[0]}/{name}"}
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
