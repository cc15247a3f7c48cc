"""What is read of the entries of all groups is found without reading the others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, Engine, event

from recorder.clock import utc_now
from recorder.ledger.entries import Action
from recorder.store.batches import Deadline
from recorder.store.enrolment import cease_groups
from recorder.store.episode_rows import find_completed
from recorder.store.gap_rows import read_all_gaps
from recorder.store.groups import list_groups
from recorder.store.notes import newest_notes
from recorder.store.request_keys import known_keys
from recorder.store.transactions import reading
from tests.support.databases import ON_SQLITE
from tests.support.plans import Explaining
from tests.support.recording import Recording, active

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_gaps_are_read_from_their_index(engine: Engine) -> None:
    with reading(engine) as connection:
        explaining = cast(Any, Explaining(connection))
        read_all_gaps(explaining, NOON, NOON, NOON)
    assert "ix_entries_gaps" in explaining.plans


def test_notes_are_read_from_their_index(engine: Engine) -> None:
    with reading(engine) as connection:
        explaining = cast(Any, Explaining(connection))
        newest_notes(explaining, ["tgrp_1", "tgrp_2"])
    assert "ix_entries_watch" in explaining.plans


@ON_SQLITE
def test_many_groups_are_read_and_changed_without_reading_all_tables(engine: Engine) -> None:
    """SQLite looks up no list of keys of several columns, and would read the whole table."""
    recording, ids = Recording(engine), ["tgrp_1", "tgrp_2"]
    for taskgroup_id in ids:
        recording.watch(taskgroup_id)
        recording.see(taskgroup_id, 10, active(running=1))
    sent: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Connection, cursor: Any, statement: str, values: Any, *_: object) -> None:
        sent.append((statement, values))

    with reading(engine) as connection:
        assert len([group for group in list_groups(connection, limit=10) if group.latest]) == len(ids)
        known_keys(connection, {one: ["key"] for one in ids})
        find_completed(connection, dict.fromkeys(ids, 1))
    deadline = Deadline(0)
    list(cease_groups(engine, ids, Action.PAUSED, actor="ann", note=None, now=utc_now, deadline=deadline))
    event.remove(engine, "before_cursor_execute", note)
    with reading(engine) as connection:
        plans = [
            str(row)
            for statement, values in sent
            if "given" in statement or " IN " in statement
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    assert [plan for plan in plans if "SEARCH entries" in plan]
    for table in ("entries", "episodes", "request_keys"):
        assert f"SCAN {table}" not in "\n".join(plans)
