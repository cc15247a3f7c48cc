"""Writes to a SQLite file that was deleted or replaced are refused instead of lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from recorder.store.engine import check_url, open_engine
from recorder.store.heartbeats import heartbeats
from recorder.store.tables import recorders
from recorder.store.transactions import DatabaseLostError, reading, writing
from tests.support.recording import NOON

ROW = {"host": "h", "pid": 1, "started_at": NOON, "heartbeat_at": NOON, "counters": "{}", "report": "{}"}


@pytest.fixture
def file(tmp_path: Path, sqlite_template: Path) -> Path:
    return Path(shutil.copy(sqlite_template, tmp_path / "recorder.db"))


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    engine = open_engine(check_url(f"sqlite:///{file}"))
    try:
        yield engine
    finally:
        engine.dispose()


def _write(engine: Engine, name: str) -> None:
    with writing(engine) as connection:
        connection.execute(insert(recorders).values(recorder_id=name, **ROW))


def test_a_deleted_file(engine: Engine, file: Path) -> None:
    _write(engine, "before")
    file.unlink()
    with pytest.raises(DatabaseLostError, match=f"{file} was deleted or moved away"):
        _write(engine, "after")


def test_a_file_that_another_one_replaced(engine: Engine, file: Path, sqlite_template: Path) -> None:
    _write(engine, "before")
    other = Path(shutil.copy(sqlite_template, file.with_name("other.db")))
    other.replace(file)
    with pytest.raises(DatabaseLostError, match="was replaced by another file"):
        _write(engine, "after")


def test_a_file_that_was_put_back(engine: Engine, file: Path) -> None:
    _write(engine, "before")
    file.rename(file.with_name("elsewhere.db"))
    with pytest.raises(DatabaseLostError):
        _write(engine, "meanwhile")
    file.with_name("elsewhere.db").rename(file)
    _write(engine, "after")
    with reading(engine) as connection:
        assert [beat.recorder_id for beat in heartbeats(connection)] == ["after", "before"]
