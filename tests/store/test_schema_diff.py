"""The differences reported by `recorder db check` for single changes, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, inspect, text

from recorder.store.engine import check_url, open_engine
from recorder.store.migrate import downgrade, upgrade
from recorder.store.schema import SchemaError
from recorder.store.schema_diff import differences
from recorder.store.transactions import writing

DIFFERS = "differs from this program's"
VIEW = "CREATE VIEW observation_gaps AS SELECT"
BOTH = {
    "DROP TABLE recorders": ["table recorders: is missing"],
    "CREATE TABLE invoices (number INTEGER PRIMARY KEY)": ["table invoices: is not this program's"],
    "ALTER TABLE watches DROP COLUMN failures": ["column watches.failures: is missing"],
    "ALTER TABLE watches ADD COLUMN colour TEXT": ["column watches.colour: is not this program's"],
    "DROP INDEX ix_watches_next_poll_at": ["index ix_watches_next_poll_at of watches: is missing"],
    "CREATE INDEX mine ON entries (at)": ["index mine of entries: is not this program's"],
    "DROP INDEX ix_watches_next_poll_at; CREATE INDEX ix_watches_next_poll_at ON watches (due_at)": [
        f"index ix_watches_next_poll_at of watches: {DIFFERS}"
    ],
    "DROP VIEW observation_gaps": ["view observation_gaps: is missing"],
    f"DROP VIEW observation_gaps; {VIEW} taskgroup_id FROM entries": [f"view observation_gaps: {DIFFERS}"],
    "CREATE VIEW mine AS SELECT taskgroup_id FROM entries": [],
    "DROP TABLE recorders; DROP INDEX ix_watches_next_poll_at": [
        "table recorders: is missing",
        "index ix_watches_next_poll_at of watches: is missing",
    ],
}
UPDATES = "CREATE TRIGGER entries_refuse_update BEFORE UPDATE ON entries"
SQLITE = {
    "DROP TRIGGER entries_refuse_replace": ["trigger entries_refuse_replace of entries: is missing"],
    f"DROP TRIGGER entries_refuse_update; {UPDATES} BEGIN SELECT 1~ END": [
        f"trigger entries_refuse_update of entries: {DIFFERS}"
    ],
    "CREATE TRIGGER mine AFTER INSERT ON entries BEGIN SELECT 1~ END": [
        "trigger mine of entries: is not this program's"
    ],
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'seq >= 1', 'seq >= 0')": [
        f"constraint ck_entries_ck_entries_seq of entries: {DIFFERS}"
    ],
    "ANALYZE": [],
}
QUIET = "AS 'BEGIN RETURN NULL~ END'"
POSTGRESQL = {
    "DROP TRIGGER entries_refuse_truncate ON entries": [
        "trigger entries_refuse_truncate of entries: is missing"
    ],
    **{
        f"ALTER TABLE entries {how} TRIGGER entries_refuse_change": [
            f"trigger entries_refuse_change of entries: {DIFFERS}"
        ]
        for how in ("DISABLE", "ENABLE", "ENABLE REPLICA")
    },
    f"CREATE OR REPLACE FUNCTION entries_refuse_change() RETURNS trigger LANGUAGE plpgsql {QUIET}": [
        f"trigger entries_refuse_change of entries: {DIFFERS}",
        f"trigger entries_refuse_truncate of entries: {DIFFERS}",
    ],
    "CREATE RULE mine AS ON INSERT TO entries DO INSTEAD NOTHING": [
        "rule mine of entries: is not this program's"
    ],
    "ALTER TABLE entries DROP CONSTRAINT ck_entries_ck_entries_kind": [
        "constraint ck_entries_ck_entries_kind of entries: is missing"
    ],
    "ALTER TABLE entries DROP CONSTRAINT pk_entries": ["constraint pk_entries of entries: is missing"],
    "ALTER TABLE entries SET UNLOGGED": [f"table entries: {DIFFERS}"],
    "ALTER TABLE recorders ALTER COLUMN host DROP NOT NULL": [
        "column recorders.host: is text, should be text NOT NULL"
    ],
    "ALTER TABLE recorders ALTER COLUMN report SET DEFAULT '[]'": [
        "column recorders.report: is text NOT NULL DEFAULT '[]'::text, "
        "should be text NOT NULL DEFAULT '{}'::text"
    ],
}


def _change(engine: Engine, statements: str) -> None:
    with writing(engine) as connection:
        for statement in statements.split(";"):
            connection.execute(text(statement.replace("~", ";")))


@pytest.mark.parametrize("change", BOTH)
def test_both_report(engine: Engine, change: str) -> None:
    assert differences(engine) == []
    _change(engine, change)
    assert differences(engine) == BOTH[change]


@pytest.mark.parametrize("change", SQLITE)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite_reports(engine: Engine, change: str) -> None:
    _change(engine, change)
    assert differences(engine) == SQLITE[change]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_table_with_row_ids_is_reported(engine: Engine) -> None:
    with writing(engine) as connection:
        (created,) = connection.scalars(text("SELECT sql FROM sqlite_master WHERE name = 'recorders'"))
        connection.execute(text("DROP TABLE recorders"))
        connection.execute(text(created.replace("WITHOUT ROWID", "")))
    assert differences(engine) == [f"table recorders: {DIFFERS}"]


@pytest.mark.parametrize("change", POSTGRESQL)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_reports(engine: Engine, change: str) -> None:
    _change(engine, change)
    assert differences(engine) == POSTGRESQL[change]


def test_a_database_upgraded_in_steps_has_no_differences(engine: Engine) -> None:
    downgrade(engine, "0001", discard_ledger=False)
    upgrade(engine)
    assert differences(engine) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_check_leaves_no_schema_behind(engine: Engine) -> None:
    before = inspect(engine).get_schema_names()
    assert differences(engine) == []
    assert inspect(engine).get_schema_names() == before


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_role_that_may_not_create_schemas_is_refused(engine: Engine, database_url: str) -> None:
    role = "looks_" + str(engine.url.database)
    with writing(engine) as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
    other = open_engine(check_url(database_url.replace("postgres@", f"{role}@")))
    with pytest.raises(SchemaError, match="its owner"):
        differences(other)
    other.dispose()
    with writing(engine) as connection:
        connection.execute(text(f"DROP ROLE {role}"))
