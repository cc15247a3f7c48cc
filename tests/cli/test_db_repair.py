"""`recorder db repair` says what it did."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from recorder.store.transactions import writing
from tests.support.program import Program
from tests.support.tampering import findings, record


def test_everything_that_was_lost_is_named(program: Program, engine: Engine) -> None:
    record(engine)
    with writing(engine) as connection:
        connection.execute(text("DROP VIEW observation_gaps"))
        connection.execute(text("DELETE FROM summaries WHERE taskgroup_id = 'one'"))
        connection.execute(text("DELETE FROM episodes"))
    check = program.run("db", "check")
    assert check.out.splitlines() == [
        "view observation_gaps: is missing",
        "derived tables: 1 group missing or derived by other rules",
    ]
    assert program.ok("db", "repair").splitlines() == [
        "view observation_gaps: created",
        "derived tables: 2 groups rebuilt from the ledger",
    ]
    assert findings(engine) == []
    assert "nothing to repair" in program.ok("db", "repair")


def test_what_cannot_be_mended_is_named(program: Program, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE watches ADD COLUMN colour TEXT"))
    complaint = "Error: cannot be repaired: column watches.colour: is not this program's"
    assert program.run("db", "repair").complaint() == complaint


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_changed_entry_is_not_mended(program: Program, engine: Engine) -> None:
    record(engine)
    with writing(engine) as connection:
        connection.execute(text("DROP TRIGGER entries_refuse_update"))
        connection.execute(text("UPDATE entries SET completed = 9 WHERE taskgroup_id = 'one' AND seq = 5"))
    result = program.run("db", "repair")
    assert (result.status, result.out) == (
        1,
        "trigger entries_refuse_update of entries: created and enabled\n",
    )
    assert result.complaints == ["Error: 1 group with findings that need more: recorder verify"]
