"""Databases created by older programs: an upgrade changes nothing recorded, and recording continues."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from recorder.ledger.entries import Action, Gap, StatusContent, WatchChange
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import WatchState
from recorder.store.groups import find_group
from recorder.store.history import read_entries
from recorder.store.migrate import downgrade, upgrade, upgrade_schema
from recorder.store.rebuilding import rebuild_left
from recorder.store.schema import state_of
from recorder.store.schema_diff import differences
from recorder.store.transactions import reading
from recorder.store.underived import Deriving, deriving
from tests.store.brute_force import assert_completion_agrees
from tests.support.chain_oracle import assert_chained
from tests.support.store_samples import at, body, poll, seen

IDS = ["Gruppe ä", "tgrp_1", "tgrp_never"]
QUERIES = [
    "SELECT * FROM entries ORDER BY taskgroup_id, seq",
    "SELECT * FROM watches ORDER BY taskgroup_id",
    "SELECT * FROM status_history ORDER BY taskgroup_id, seq",
    "SELECT * FROM latest_status ORDER BY taskgroup_id",
    "SELECT * FROM observation_gaps ORDER BY taskgroup_id, seq",
]


@pytest.fixture
def old_engine(blank_engine: Engine) -> Engine:
    """An engine on a database at revision 0001."""
    kind = blank_engine.dialect.name
    script = Path(__file__).with_name(f"schema_0001.{kind}.sql").read_text(encoding="utf-8")
    url = blank_engine.url
    if kind == "sqlite":
        with sqlite3.connect(str(url.database)) as connection:
            connection.executescript(script)
        connection.close()
    else:
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as server:
            server.execute(script.encode())
    return blank_engine


def _everything(engine: Engine) -> list[list[Any]]:
    with reading(engine) as connection:
        return [[dict(row) for row in connection.execute(text(query)).mappings()] for query in QUERIES]


def _as_before(before: list[list[Any]], after: list[list[Any]]) -> list[list[Any]]:
    """Return the later rows without columns added by newer revisions."""
    return [
        [{name: row[name] for name in rows[0]} for row in now]
        for rows, now in zip(before, after, strict=True)
    ]


def test_an_upgrade_to_head_changes_no_rows(old_engine: Engine) -> None:
    assert state_of(old_engine).current == "0001"
    before = _everything(old_engine)
    assert [len(rows) for rows in before] == [11, 3, 5, 3, 1]
    upgrade(old_engine)
    assert state_of(old_engine).at_head
    assert differences(old_engine) == []
    assert _as_before(before, _everything(old_engine)) == before


def test_an_upgrade_and_downgrade_change_no_rows(old_engine: Engine) -> None:
    before = _everything(old_engine)
    upgrade(old_engine)
    downgrade(old_engine, "0001", discard_ledger=False)
    assert _everything(old_engine) == before


def test_completion_covers_what_was_recorded_before(old_engine: Engine) -> None:
    upgrade(old_engine)
    with reading(old_engine) as connection:
        for taskgroup_id in IDS:
            group = find_group(connection, taskgroup_id)
            assert group is not None
            assert_completion_agrees(connection, list(read_entries(connection, taskgroup_id)), group.watch)
        episodes = connection.scalars(text("SELECT taskgroup_id FROM group_completion ORDER BY 1")).all()
    assert episodes == ["Gruppe ä", "tgrp_1"]


def test_the_chain_is_intact_after_an_upgrade(old_engine: Engine) -> None:
    upgrade(old_engine)
    with reading(old_engine) as connection:
        ledgers = [list(read_entries(connection, taskgroup_id)) for taskgroup_id in IDS]
        heads = [find_group(connection, taskgroup_id) for taskgroup_id in IDS]
    for ledger, group in zip(ledgers, heads, strict=True):
        assert_chained(ledger)
        assert group is not None and group.watch.head.digest == ledger[-1].digest


def test_readers_return_what_was_recorded(old_engine: Engine) -> None:
    upgrade(old_engine)
    with reading(old_engine) as connection:
        ledger = list(read_entries(connection, "tgrp_1"))
        group = find_group(connection, "tgrp_1")
    started, first, second, gap, again, paused, resumed, last = (entry.content for entry in ledger)
    assert started == WatchChange(Action.STARTED, "ada@host", "March batch")
    assert isinstance(first, StatusContent) and first.body.value == body("tgrp_1", 1)
    expected = body("tgrp_1", 2, metadata={"note": "a\0b 😀"}, extra=None)
    assert isinstance(second, StatusContent) and second.body.value == expected
    assert gap == Gap(at(27), at(120), Cause.SERVER_ERROR, 6, 34.25, 503, "Service Unavailable")
    assert isinstance(again, StatusContent) and again.body == second.body
    assert paused == WatchChange(Action.PAUSED, "bob@host", "lunch")
    assert resumed == WatchChange(Action.RESUMED, "bob@host", None)
    assert isinstance(last, StatusContent) and last.fields.phase is Phase.SETTLED
    assert last.body.text is not None and '"share":0.1000000000000000055' in last.body.text
    assert group is not None and group.watch.state is WatchState.WATCHING
    assert group.latest is not None and group.latest.seq == len(ledger)


def test_recording_continues(old_engine: Engine) -> None:
    upgrade(old_engine)
    for seconds, taskgroup_id in enumerate(IDS, start=1):
        poll(old_engine, taskgroup_id, seen(body(taskgroup_id, 3), seconds * 3600))
    with reading(old_engine) as connection:
        for seconds, taskgroup_id in enumerate(IDS, start=1):
            *_, last = read_entries(connection, taskgroup_id)
            assert last.at == at(seconds * 3600)


def test_recording_and_reading_go_on_before_completion_is_derived(old_engine: Engine) -> None:
    upgrade_schema(old_engine)
    with reading(old_engine) as connection:
        assert deriving(connection) == Deriving(0, len(IDS))
        assert [len(list(read_entries(connection, one))) for one in IDS] == [2, 8, 1]
    poll(old_engine, "tgrp_1", seen(body("tgrp_1", 3), 3600))
    with reading(old_engine) as connection:
        assert deriving(connection) == Deriving(1, len(IDS))
    for _ in rebuild_left(old_engine):
        pass
    with reading(old_engine) as connection:
        for taskgroup_id in IDS:
            group = find_group(connection, taskgroup_id)
            assert group is not None
            assert_completion_agrees(connection, list(read_entries(connection, taskgroup_id)), group.watch)
