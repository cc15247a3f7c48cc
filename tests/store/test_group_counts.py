"""Counts across all groups, kept and read anew, as time goes by and things change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import WatchState
from recorder.store.group_counts import kept_group_counts, kept_open_gaps, read_group_counts
from recorder.store.transactions import reading
from tests.support.databases import ON_SQLITE, Engines
from tests.support.recording import Recording, active, after, settled


@pytest.fixture
def reader(kept_engines: Engines, database_url: str) -> Iterator[Engine]:
    with kept_engines.open(database_url, read_only=True) as engine:
        yield engine


def test_kept_counts_are_those_that_are_read(engine: Engine, reader: Engine) -> None:
    recording = Recording(engine)
    recording.watch("never")
    for number in range(3):
        recording.watch(f"tgrp_{number}", number)
        recording.see(f"tgrp_{number}", 10 * number + 5, active(running=1))
    recording.see("tgrp_2", 30, settled(completed=1))
    recording.pause("tgrp_1", 31)
    # Gaps open at 30 (never seen), 45 (tgrp_0) and 70 (tgrp_2).
    seen = {}
    for seconds in (29, 31, 31.5, 46, 69, 70, 71, 500, 40):
        with reading(reader) as connection:
            counts = kept_group_counts(connection, after(seconds))
            assert counts == read_group_counts(connection, after(seconds))
            assert kept_open_gaps(connection, after(seconds)) == counts.open_gaps
        seen[seconds] = counts.open_gaps
    assert seen == {29: 0, 31: 1, 31.5: 1, 46: 2, 69: 2, 70: 2, 71: 3, 500: 3, 40: 1}
    assert counts.phases == {None: 1, Phase.ACTIVE: 2, Phase.SETTLED: 1}
    assert counts.states == {WatchState.WATCHING: 3, WatchState.PAUSED: 1}
    assert counts.entries == 4 + 3 + 1 + 1
    recording.see("tgrp_0", 501, settled(completed=1))
    with reading(reader) as connection:
        assert kept_group_counts(connection, after(502)) == read_group_counts(connection, after(502))
        assert kept_open_gaps(connection, after(502)) == 2


@ON_SQLITE
def test_groups_are_counted_again_only_after_a_change(engine: Engine, reader: Engine) -> None:
    Recording(engine).watch("tgrp_1")
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        asked.append(arguments[2])

    def whole_scans(connection: Connection) -> int:
        asked.clear()
        kept_group_counts(connection, after(1))
        return sum("GROUP BY" in statement for statement in asked)

    event.listen(reader, "before_cursor_execute", note)
    try:
        with reading(reader) as connection:
            assert [whole_scans(connection), whole_scans(connection)] == [1, 0]
        Recording(engine).watch("tgrp_2")
        with reading(reader) as connection:
            assert [whole_scans(connection), whole_scans(connection)] == [1, 0]
    finally:
        event.remove(reader, "before_cursor_execute", note)
