"""The WAL of a SQLite database shrinks again once a long reader has ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.transactions import reading, writing
from tests.support.recording import NOON

BIG = 8 * 2**20


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_long_reader_leaves_no_large_wal(engine: Engine) -> None:
    wal = Path(f"{engine.url.database}-wal")
    with reading(engine) as connection:
        connection.execute(text("SELECT count(*) FROM entries")).all()
        for number in range(100):
            _write(engine, f"{number:05}" * 20_000)
        assert wal.stat().st_size > BIG
    for words in ("one", "two", "three"):
        _write(engine, words)
    assert wal.stat().st_size <= BIG / 2


def _write(engine: Engine, words: str) -> None:
    with writing(engine) as connection:
        beat(connection, Heartbeat("r", "h", 1, NOON, NOON, {}, {"upstream": words}))
