"""Upgrades and downgrades on both databases, and the cases that they refuse."""

from __future__ import annotations

from importlib.resources import files
from threading import Thread

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, insert, inspect, text

from recorder.store.history import read_entries
from recorder.store.migrate import downgrade, upgrade
from recorder.store.schema import SchemaError, known_revisions, require_head, state_of
from recorder.store.tables import entries
from recorder.store.transactions import reading, writing
from tests.support.store_samples import NOON, enrol

DERIVED = {"episodes", "milestones", "group_labels", "labelled_durations", "summaries"}
EVENTS = {"events", "published_events", "upstream_state", "sinks", "deliveries", "delivery_lease"}
ARCHIVE = {"tombstones", "archive_turns"}
RUNS = {"run_snapshots", "run_claims"}
OURS = {"watches", "entries", "recorders", "request_keys", *ARCHIVE, *DERIVED, *EVENTS, *RUNS}
VIEWS = {
    *("status_history", "latest_status", "group_completion"),
    *("group_milestones", "group_metadata", "observation_gaps", "archived_groups", "task_runs"),
}


def _tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_upgrade_downgrade_upgrade(blank_engine: Engine) -> None:
    assert state_of(blank_engine).blank
    upgrade(blank_engine)
    assert _tables(blank_engine) == OURS
    assert set(inspect(blank_engine).get_view_names()) == VIEWS
    downgrade(blank_engine, "base", discard_ledger=False)
    assert _tables(blank_engine) == set()
    assert inspect(blank_engine).get_view_names() == []
    upgrade(blank_engine)
    assert state_of(blank_engine).at_head


def test_the_refusal_of_a_blank_database_names_the_command_to_run(blank_engine: Engine) -> None:
    with pytest.raises(SchemaError, match="recorder db upgrade"):
        require_head(state_of(blank_engine))


def test_a_foreign_database_is_refused(blank_engine: Engine) -> None:
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
    with pytest.raises(SchemaError, match="downgraded to '0042'; allowed: base, 0001, 0002"):
        downgrade(engine, "0042", discard_ledger=False)
    assert _tables(engine) == OURS


def test_a_downgrade_does_not_upgrade(engine: Engine) -> None:
    downgrade(engine, "0001", discard_ledger=False)
    with pytest.raises(SchemaError, match=r"0001 cannot be downgraded to '0002'; allowed: base, 0001$"):
        downgrade(engine, "0002", discard_ledger=False)
    assert state_of(engine).current == "0001"


def test_a_failing_migration_is_rolled_back(blank_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.operations import Operations

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(Operations, "create_index", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        upgrade(blank_engine)
    assert state_of(blank_engine).blank


def test_a_ledger_with_entries_is_not_dropped(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    with pytest.raises(SchemaError, match="1 entry"):
        downgrade(engine, "base", discard_ledger=False)
    assert _tables(engine) == OURS
    downgrade(engine, "base", discard_ledger=True)
    assert state_of(engine).blank


def test_a_downgrade_by_one_revision_keeps_the_ledger(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    downgrade(engine, "0001", discard_ledger=False)
    with pytest.raises(SchemaError, match="1 entry"):
        downgrade(engine, "base", discard_ledger=False)
    upgrade(engine)
    with reading(engine) as connection:
        assert len(list(read_entries(connection, "tgrp_1"))) == 1


def test_an_entry_from_a_concurrent_transaction_prevents_a_downgrade(engine: Engine) -> None:
    """The downgrade waits for a recorder's transaction, then finds its entry."""
    refusals: list[str] = []
    with writing(engine) as connection:
        connection.execute(insert(entries), [_entry_row()])

        def drop() -> None:
            try:
                downgrade(engine, "base", discard_ledger=False)
            except SchemaError as error:
                refusals.append(str(error))

        thread = Thread(target=drop)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and refusals == []
    thread.join(30)
    assert "1 entry" in refusals[0] and _tables(engine) == OURS


def _entry_row() -> dict[str, object]:
    return {"taskgroup_id": "tgrp_1", "seq": 1, "kind": "watch", "at": NOON, "digest": "0" * 64}


def test_the_known_revisions_are_those_of_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert known_revisions() == [script.revision for script in scripts]
