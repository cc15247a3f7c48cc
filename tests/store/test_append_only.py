"""Entries cannot be changed or deleted in any way, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import IntegrityError

from recorder.store.tables import entries
from recorder.store.transactions import reading, writing
from tests.support.store_samples import body, enrol, poll, seen

ATTEMPTS = {
    "update": "UPDATE entries SET completed = 99 WHERE seq = 2",
    "update of every row": "UPDATE entries SET digest = 'x'",
    "update that changes nothing": "UPDATE entries SET seq = seq",
    "delete": "DELETE FROM entries WHERE seq = 2",
    "delete of every row": "DELETE FROM entries",
    "upsert": """INSERT INTO entries (taskgroup_id, seq, kind, at, digest)
        SELECT taskgroup_id, seq, 'gap', at, 'x' FROM entries WHERE seq = 2
        ON CONFLICT (taskgroup_id, seq) DO UPDATE SET digest = 'x'""",
}
SQLITE_ATTEMPTS = {
    "replace": """REPLACE INTO entries (taskgroup_id, seq, kind, at, digest)
        SELECT taskgroup_id, seq, 'gap', at, 'x' FROM entries WHERE seq = 2""",
    "insert or replace": """INSERT OR REPLACE INTO entries (taskgroup_id, seq, kind, at, digest)
        SELECT taskgroup_id, seq, 'gap', at, 'x' FROM entries WHERE seq = 2""",
    "insert or ignore": """INSERT OR IGNORE INTO entries (taskgroup_id, seq, kind, at, digest)
        SELECT taskgroup_id, seq, 'gap', at, 'x' FROM entries WHERE seq = 2""",
    "update or replace": "UPDATE OR REPLACE entries SET seq = 1 WHERE seq = 2",
}
POSTGRESQL_ATTEMPTS = {
    "truncate": "TRUNCATE entries",
    "truncate cascade": "TRUNCATE watches, entries CASCADE",
    "as a replica, which fires no ordinary triggers": (
        "SET LOCAL session_replication_role = replica; DELETE FROM entries"
    ),
    "merge": """MERGE INTO entries e USING (SELECT 2 AS seq) s ON e.seq = s.seq
        WHEN MATCHED THEN UPDATE SET digest = 'x'""",
}


def _rows(engine: Engine) -> list[tuple[object, ...]]:
    with reading(engine) as connection:
        statement = select(entries).order_by(entries.c.taskgroup_id, entries.c.seq)
        return [tuple(row) for row in connection.execute(statement)]


def _refuses(engine: Engine, statement: str) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    before = _rows(engine)
    assert len(before) == 2
    with pytest.raises(IntegrityError, match="append-only"), writing(engine) as connection:
        connection.execute(text(statement))
    assert _rows(engine) == before


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_both_refuse(engine: Engine, attempt: str) -> None:
    _refuses(engine, ATTEMPTS[attempt])


@pytest.mark.parametrize("attempt", SQLITE_ATTEMPTS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite_refuses(engine: Engine, attempt: str) -> None:
    _refuses(engine, SQLITE_ATTEMPTS[attempt])


@pytest.mark.parametrize("attempt", POSTGRESQL_ATTEMPTS)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_refuses(engine: Engine, attempt: str) -> None:
    _refuses(engine, POSTGRESQL_ATTEMPTS[attempt])


def test_an_existing_entry_is_not_written_again(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    (row,) = _rows(engine)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(entries).values(dict(zip(entries.c.keys(), row, strict=True))))
    assert _rows(engine) == [row]


@pytest.mark.parametrize(
    "values",
    ["('g', 0, 'watch', {now}, 'd')", "('g', 1, 'rumour', {now}, 'd')"],
    ids=["seq 0", "unknown kind"],
)
def test_invalid_entries_are_refused(engine: Engine, values: str) -> None:
    statement = "INSERT INTO entries (taskgroup_id, seq, kind, at, digest) VALUES "
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(text(statement + values.format(now="'2026-11-24T12:00:00.000000Z'")))
