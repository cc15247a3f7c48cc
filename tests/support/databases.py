"""Fresh databases for the tests, each copied from a template built by the migrations."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import psycopg
import pytest
from sqlalchemy import Engine

from recorder.store.engine import check_url, open_engine
from recorder.store.migrate import upgrade
from tests.support.postgres import locked

Fill = Callable[[Engine], object]
"""Fills an empty database."""
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that would find nothing else on another database, such as those of texts for people."""

TEMPLATE = "recorder_template"
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


def upgrade_database(url: str) -> None:
    """Upgrade the database at `url` to the newest schema."""
    engine = open_engine(check_url(url))
    upgrade(engine)
    engine.dispose()


def sibling(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return f"{url.rsplit('/', 1)[0]}/{name}"


def make_postgres_template(server: str, folder: Path) -> str:
    """Create the template unless another worker has done so; return its name."""
    with locked(folder / "template.lock"), psycopg.connect(server, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone()
        if known is None:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
            upgrade_database(sibling(server, TEMPLATE))
    return TEMPLATE


@contextmanager
def postgres_database(server: str, kind: str, template: str = "template1") -> Iterator[str]:
    """Yield the URL of a copy of `template`; its name depends on `kind` and the worker alone."""
    name = f"{kind}_{_WORKER}"
    with psycopg.connect(server, autocommit=True) as connection:
        # Three times as fast as the default, which writes every page to the log.
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield sibling(server, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def sqlite_database(path: Path, template: Path | None = None) -> Iterator[str]:
    """Yield the URL of a copy of `template` at `path`, or of a file that does not exist yet."""
    if template is not None:
        shutil.copyfile(template, path)
    try:
        yield f"sqlite:///{path}"
    finally:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()


class Engines:
    """Engines by database URL, reused so that compiled statements stay cached between tests."""

    def __init__(self) -> None:
        self._engines: dict[tuple[str, bool], Engine] = {}

    @contextmanager
    def open(self, url: str, *, read_only: bool = False) -> Iterator[Engine]:
        """Yield the engine of a database; none of its connections outlives the block."""
        key = url, read_only
        if key not in self._engines:
            self._engines[key] = open_engine(check_url(url), read_only=read_only)
        engine = self._engines[key]
        try:
            yield engine
        finally:
            engine.dispose()


class FilledTemplates:
    """Databases that tests get copies of, one for each function that fills them, until the block ends."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._files: dict[Fill, Path] = {}
        self._names: dict[Fill, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def sqlite(self, template: Path, fill: Fill | None) -> Path:
        """Return a copy of `template` that `fill` has filled, or `template` without one."""
        if fill is None:
            return template
        if fill not in self._files:
            path = template.with_name(f"filled-{len(self._files)}.db")
            self._fill(self._stack.enter_context(sqlite_database(path, template)), fill)
            self._files[fill] = path
        return self._files[fill]

    def postgres(self, server: str, template: str, fill: Fill | None) -> str:
        """Return the name of a copy of `template` that `fill` has filled, or `template` without one."""
        if fill is None:
            return template
        if fill not in self._names:
            database = postgres_database(server, f"filled_{len(self._names)}", template)
            url = self._stack.enter_context(database)
            self._fill(url, fill)
            self._names[fill] = url.rpartition("/")[2]
        return self._names[fill]

    def _fill(self, url: str, fill: Fill) -> None:
        # A database with open connections cannot be copied.
        with self._engines.open(url) as engine:
            fill(engine)
