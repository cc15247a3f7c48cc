"""What is kept while the data stays the same, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import count

import pytest
from sqlalchemy import Connection, Engine

from recorder.store import data_cache
from recorder.store.data_cache import is_kept, kept, kept_while
from recorder.store.engine import check_url, open_engine
from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.transactions import reading, writing
from tests.support.databases import Engines
from tests.support.recording import NOON, Recording, after


@pytest.fixture
def engine(kept_engines: Engines, database_url: str) -> Iterator[Engine]:
    """That of a reader, for which a transaction sees one state of the data."""
    with kept_engines.open(database_url, read_only=True) as engine:
        yield engine


@pytest.fixture
def recording(database_url: str) -> Iterator[Recording]:
    """A recorder with connections of its own."""
    engine = open_engine(check_url(database_url))
    yield Recording(engine)
    engine.dispose()


HEARTBEAT = Heartbeat("r", "host", 1, NOON, NOON, {}, {})


def _count(connection: Connection, table: str) -> int:
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def _groups(connection: Connection) -> int:
    return _count(connection, "watches")


def test_values_are_kept_until_something_is_committed(engine: Engine, recording: Recording) -> None:
    computed = count(1)

    def look(key: str) -> tuple[int, int]:
        with reading(engine) as connection:
            return kept(connection, key, lambda: (next(computed), _groups(connection)))

    assert [look(key)[1] for key in ("a", "a", "b")] == [0, 0, 0]
    # Other tests commit to the same PostgreSQL server, which ends what is kept too.
    once = engine.dialect.name == "sqlite"
    assert next(computed) == 3 or not once
    recording.watch("tgrp_1")
    assert [look(key)[1] for key in ("a", "a", "b")] == [1, 1, 1]
    assert next(computed) == 6 or not once


def test_a_transaction_that_began_earlier_does_not_see_later_values(
    engine: Engine, recording: Recording
) -> None:
    with reading(engine) as early:
        assert kept(early, "a", lambda: _groups(early)) == 0
        recording.watch("tgrp_1")
        with reading(engine) as late:
            assert kept(late, "a", lambda: _groups(late)) == 1
        assert kept(early, "a", lambda: _groups(early)) == 0
        assert kept(early, "b", lambda: _groups(early)) == 0


def test_values_are_kept_until_the_time_changes_them(engine: Engine, recording: Recording) -> None:
    computed: list[int] = []

    def look(seconds: float) -> int:
        def compute() -> tuple[int, datetime | None]:
            computed.append(_groups(connection))
            return computed[-1], after(10 * (1 + seconds // 10)) if seconds < 20 else None

        with reading(engine) as connection:
            return kept_while(connection, "a", after(seconds), compute)

    for seconds in (1, 9, 1, 10, 19, 25, 1000):
        assert look(seconds) == 0
    if engine.dialect.name == "sqlite":
        assert len(computed) == 3
    # The clock was set back.
    look(15)
    assert len(computed) >= 4
    recording.watch("tgrp_1")
    assert look(1000) == 1


def test_whether_a_value_is_kept(engine: Engine, recording: Recording) -> None:
    with reading(engine) as connection:
        assert not is_kept(connection, "a")
        kept(connection, "a", lambda: 1)
        assert is_kept(connection, "a") or engine.dialect.name == "postgresql"
    recording.watch("tgrp_1")
    with reading(engine) as connection:
        assert not is_kept(connection, "a")


def test_only_so_many_values_are_kept(engine: Engine) -> None:
    with reading(engine) as connection:
        for number in range(3 * data_cache.MOST_KEPT):
            assert kept(connection, number, lambda number=number: number) == number
        _, values = connection.info["kept values"]
        assert len(values) <= data_cache.MOST_KEPT


def test_a_transaction_that_commits_later_than_it_began_becomes_visible(
    engine: Engine, database_url: str
) -> None:
    other = open_engine(check_url(database_url))

    def count_recorders() -> int:
        with reading(engine) as connection:
            return kept(connection, "recorders", lambda: _count(connection, "recorders"))

    with writing(other) as writer:
        beat(writer, HEARTBEAT)
        assert count_recorders() == 0
    assert count_recorders() == 1
    other.dispose()
