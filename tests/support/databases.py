"""Fresh databases for the tests, each copied from a template built by the migrations."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import Engine

from recorder.store.engine import check_url, open_engine
from recorder.store.migrate import upgrade
from tests.support.postgres import locked

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
