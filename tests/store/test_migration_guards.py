"""A downgrade refuses to drop tables and views on which other views depend, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, inspect, text

from recorder.store.migrate import downgrade
from recorder.store.schema import SchemaError, state_of
from recorder.store.transactions import writing

OURS = {"status_history", "latest_status", "group_completion", "group_milestones", "observation_gaps"}


def _create(engine: Engine, *statements: str) -> None:
    with writing(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def _refusal(engine: Engine, revision: str) -> list[str]:
    """Return the views named by a refused downgrade, which must not have changed anything."""
    views = set(inspect(engine).get_view_names())
    with pytest.raises(SchemaError, match="nothing was changed") as refused:
        downgrade(engine, revision, discard_ledger=True)
    assert state_of(engine).at_head and set(inspect(engine).get_view_names()) == views
    return str(refused.value).partition(":")[0].split(", ")


def test_direct_and_indirect_dependents_of_a_dropped_view_are_named(engine: Engine) -> None:
    _create(
        engine,
        "CREATE VIEW slow AS SELECT g.* FROM group_completion g WHERE g.duration_seconds > 60",
        "CREATE VIEW slow_count AS SELECT count(*) AS n FROM slow",
        "CREATE VIEW times AS SELECT e.at FROM entries e",
    )
    assert _refusal(engine, "0002") == ["slow", "slow_count"]


def test_views_on_a_dropped_table_are_named(engine: Engine) -> None:
    _create(engine, 'CREATE VIEW "How many" AS SELECT count(*) AS n FROM entries')
    (name,) = _refusal(engine, "base")
    assert name.strip('"') == "How many"


def test_views_on_a_dropped_column_are_named(engine: Engine) -> None:
    _create(
        engine,
        "CREATE VIEW reports AS SELECT r.report FROM recorders r",
        "CREATE VIEW hosts AS SELECT r.host FROM recorders r",
    )
    assert _refusal(engine, "0001") == ["reports"]


def test_views_on_remaining_objects_do_not_prevent_a_downgrade(engine: Engine) -> None:
    _create(
        engine,
        "CREATE VIEW hosts AS SELECT r.host FROM recorders r",
        "CREATE VIEW times AS SELECT e.at FROM entries e",
    )
    downgrade(engine, "0001", discard_ledger=False)
    assert {"hosts", "times"} < set(inspect(engine).get_view_names())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_broken_view_does_not_prevent_a_downgrade(engine: Engine) -> None:
    """As long as no column is dropped."""
    downgrade(engine, "0006", discard_ledger=False)
    _create(engine, "CREATE VIEW broken AS SELECT no_such_column FROM episodes")
    downgrade(engine, "0002", discard_ledger=False)
    assert "broken" in inspect(engine).get_view_names()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_keeps_sqlite_from_dropping_a_column_is_named(engine: Engine) -> None:
    """SQLite compiles every view and trigger again before it drops a column."""
    _create(engine, 'CREATE VIEW "my view" AS SELECT no_such_column FROM watches')
    with pytest.raises(SchemaError, match=r"^my view: this view .*no such column: no_such_column.*changed"):
        downgrade(engine, "0001", discard_ledger=True)
    assert state_of(engine).at_head
    _create(
        engine,
        'DROP VIEW "my view"',
        """CREATE TRIGGER reported AFTER UPDATE ON recorders
        BEGIN INSERT INTO watches (taskgroup_id, note) VALUES (NEW.host, NEW.report); END""",
    )
    with pytest.raises(SchemaError, match=r"^reported: this trigger .*no such column: NEW.report.*changed"):
        downgrade(engine, "0001", discard_ledger=True)
    assert state_of(engine).at_head


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_views_in_other_schemas_and_materialized_ones_are_named(engine: Engine) -> None:
    _create(
        engine,
        "CREATE SCHEMA reports",
        "CREATE VIEW reports.slow AS SELECT * FROM group_completion",
        "CREATE MATERIALIZED VIEW daily AS SELECT count(*) FROM status_history",
    )
    assert _refusal(engine, "0002") == ["daily", "reports.slow"]
