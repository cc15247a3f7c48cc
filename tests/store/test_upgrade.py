"""Databases that older programs made: brought to head, nothing in them changes, and recording goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from recorder.ledger.chain import GENESIS, digest_of, record_of
from recorder.store.readers import find_group, read_entries
from recorder.store.schema import differences, state_of, upgrade
from recorder.store.transactions import reading
from tests.store.samples import at, body, poll, seen

IDS = ["Gruppe ä", "tgrp_1", "tgrp_never"]
QUESTIONS = [
    "SELECT * FROM entries ORDER BY taskgroup_id, seq",
    "SELECT * FROM watches ORDER BY taskgroup_id",
    "SELECT * FROM status_history ORDER BY taskgroup_id, seq",
    "SELECT * FROM latest_status ORDER BY taskgroup_id",
    "SELECT * FROM observation_gaps ORDER BY taskgroup_id, seq",
]


@pytest.fixture
def old_engine(blank_engine: Engine) -> Engine:
    """Access to a database as revision 0001 left it."""
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
        return [[tuple(row) for row in connection.execute(text(question))] for question in QUESTIONS]


def test_nothing_changes_on_the_way_to_head(old_engine: Engine) -> None:
    assert state_of(old_engine).current == "0001"
    before = _everything(old_engine)
    assert [len(rows) for rows in before] == [11, 3, 5, 3, 1]
    upgrade(old_engine)
    assert state_of(old_engine).at_head
    assert differences(old_engine) == []
    assert _everything(old_engine) == before


def test_the_chain_holds(old_engine: Engine) -> None:
    upgrade(old_engine)
    with reading(old_engine) as connection:
        ledgers = [list(read_entries(connection, taskgroup_id)) for taskgroup_id in IDS]
        heads = [find_group(connection, taskgroup_id) for taskgroup_id in IDS]
    for ledger, group in zip(ledgers, heads, strict=True):
        digest = GENESIS
        for entry in ledger:
            record = record_of(
                taskgroup_id=entry.taskgroup_id,
                seq=entry.seq,
                at=entry.at,
                previous=entry.previous,
                content=entry.content,
            )
            digest = digest_of(digest, record)
            assert entry.digest == digest
        assert group is not None and group.watch.head.digest == digest


def test_recording_goes_on(old_engine: Engine) -> None:
    upgrade(old_engine)
    for seconds, taskgroup_id in enumerate(IDS, start=1):
        poll(old_engine, taskgroup_id, seen(body(taskgroup_id, 3), seconds * 3600))
    with reading(old_engine) as connection:
        for seconds, taskgroup_id in enumerate(IDS, start=1):
            *_, last = read_entries(connection, taskgroup_id)
            assert last.at == at(seconds * 3600)
