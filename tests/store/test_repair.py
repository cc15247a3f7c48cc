"""`recorder db repair` makes anew what a restore can lose, and `db check` names it, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from recorder.store.repair import repair_schema
from recorder.store.schema import state_of
from recorder.store.schema_diff import differences
from recorder.store.transactions import writing
from tests.support.tampering import record, rows_of

ANY = "no trigger"
BOTH = {
    "DROP VIEW group_completion": ["view group_completion: created"],
    "DROP VIEW observation_gaps; CREATE VIEW observation_gaps AS SELECT seq FROM entries": [
        "view observation_gaps: created"
    ],
    "DROP INDEX ix_watches_next_poll_at": ["index ix_watches_next_poll_at of watches: created"],
}
SQLITE = {
    "DROP TRIGGER entries_refuse_delete; DROP TRIGGER tombstones_refuse_update": [
        "trigger entries_refuse_delete of entries: created and enabled",
        "trigger tombstones_refuse_update of tombstones: created and enabled",
    ],
    "DROP VIEW group_milestones; DROP TABLE milestones": [
        "table milestones: created",
        "view group_milestones: created",
    ],
}
POSTGRESQL = {
    # As pg_restore --data-only --disable-triggers leaves them.
    "ALTER TABLE entries DISABLE TRIGGER ALL; ALTER TABLE entries ENABLE TRIGGER ALL": [
        f"trigger {name} of entries: created and enabled"
        for name in (
            *("entries_refuse_archived", "entries_refuse_change"),
            *("entries_refuse_delete", "entries_refuse_truncate"),
        )
    ],
    "DROP FUNCTION tombstones_refuse_delete CASCADE": [
        "trigger tombstones_refuse_delete of tombstones: created and enabled"
    ],
    "ALTER FUNCTION entries_refuse_delete RESET search_path": [
        "trigger entries_refuse_delete of entries: created and enabled"
    ],
    "DROP TABLE milestones CASCADE": ["table milestones: created", "view group_milestones: created"],
}


def _execute(engine: Engine, statements: str) -> None:
    with writing(engine) as connection:
        for statement in statements.split("; "):
            connection.execute(text(statement))


def _mended(engine: Engine, loss: str, expected: list[str]) -> None:
    record(engine)
    before = rows_of(engine)["entries"]
    _execute(engine, loss)
    assert differences(engine) != []
    assert repair_schema(engine) == expected
    assert differences(engine) == [] and repair_schema(engine) == []
    assert rows_of(engine)["entries"] == before
    with pytest.raises(IntegrityError, match="append-only"):
        _execute(engine, "DELETE FROM entries")


@pytest.mark.parametrize("loss", BOTH)
def test_both(engine: Engine, loss: str) -> None:
    _mended(engine, loss, BOTH[loss])


@pytest.mark.parametrize("loss", SQLITE)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite(engine: Engine, loss: str) -> None:
    _mended(engine, loss, SQLITE[loss])


@pytest.mark.parametrize("loss", POSTGRESQL)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql(engine: Engine, loss: str) -> None:
    _mended(engine, loss, POSTGRESQL[loss])


def test_what_holds_data_of_its_own_is_left_alone(engine: Engine) -> None:
    _execute(engine, "ALTER TABLE watches ADD COLUMN colour TEXT; CREATE TABLE invoices (number INTEGER)")
    found = differences(engine)
    assert repair_schema(engine) == [] and differences(engine) == found != []


def test_the_tables_of_a_backup_tool_are_no_difference(blank_engine: Engine, engine: Engine) -> None:
    litestream = "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)"
    _execute(engine, litestream)
    assert differences(engine) == []
    _execute(blank_engine, litestream)
    assert state_of(blank_engine).blank
