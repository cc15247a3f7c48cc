"""The migrations, on both databases: there and back, and refusing what is not ours."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, inspect, text

from recorder.store.schema import (
    SchemaError,
    differences,
    downgrade,
    require_head,
    state_of,
    upgrade,
)
from recorder.store.transactions import writing

OURS = {"watches", "entries", "recorders"}
VIEWS = {"status_history", "latest_status", "observation_gaps"}


def _tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_upgrade_downgrade_upgrade(blank_engine: Engine) -> None:
    assert state_of(blank_engine).blank
    upgrade(blank_engine)
    assert _tables(blank_engine) == OURS
    assert set(inspect(blank_engine).get_view_names()) == VIEWS
    downgrade(blank_engine, "base")
    assert _tables(blank_engine) == set()
    assert inspect(blank_engine).get_view_names() == []
    upgrade(blank_engine)
    assert state_of(blank_engine).at_head


def test_migrations_and_tables_agree(engine: Engine) -> None:
    assert differences(engine) == []


def test_a_difference_is_named(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE watches DROP COLUMN failures"))
    (difference,) = differences(engine)
    assert "failures" in difference


def test_a_blank_database_is_refused_with_the_command_that_mends_it(blank_engine: Engine) -> None:
    with pytest.raises(SchemaError, match="recorder db upgrade"):
        require_head(state_of(blank_engine))


def test_a_database_of_others_is_refused(blank_engine: Engine) -> None:
    with writing(blank_engine) as connection:
        connection.execute(text("CREATE TABLE invoices (number INTEGER)"))
    with pytest.raises(SchemaError, match="not the recorder's"):
        require_head(state_of(blank_engine))
    with pytest.raises(SchemaError, match="not the recorder's"):
        upgrade(blank_engine)
    assert _tables(blank_engine) == {"invoices"}


def test_an_unknown_revision_is_refused(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refusing in (lambda: require_head(state_of(engine)), lambda: upgrade(engine)):
        with pytest.raises(SchemaError, match="newer recorder"):
            refusing()


def test_downgrade_to_an_unknown_revision_is_refused(engine: Engine) -> None:
    with pytest.raises(SchemaError, match="no revision '0042'; allowed: 0001, base"):
        downgrade(engine, "0042")
    assert _tables(engine) == OURS


def test_a_failing_migration_leaves_nothing(blank_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.operations import Operations

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(Operations, "create_index", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        upgrade(blank_engine)
    assert state_of(blank_engine).blank
