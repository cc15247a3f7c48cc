"""Tampering with notes and expectations, and with what a watch row keeps of them, is found."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from recorder.store.enrolment import Deadline, note_groups
from recorder.store.transactions import writing
from tests.support.recording import Recording, active, after
from tests.support.tampering import brief, findings, unprotect

LATER = "'2026-11-24T13:00:00.000000Z'"
OF_ENTRIES = [
    ("watch_note = 'a lie'", 3, "digest_mismatch"),
    ("watch_note = NULL", 3, "digest_mismatch"),
    ("expect_runs = 7", 3, "digest_mismatch"),
    (f"expect_by = {LATER}", 3, "digest_mismatch"),
    ("expect_runs = 7", 4, "digest_mismatch"),
    ("expect_runs = NULL", 4, "digest_mismatch"),
    (f"expect_by = {LATER}", 4, "digest_mismatch"),
    ("expect_by = NULL", 4, "digest_mismatch"),
    ("watch_action = 'noted'", 4, "digest_mismatch"),
    ("watch_action = 'said'", 4, "unreadable"),
    ("expect_runs = 7", 1, "digest_mismatch"),
    ("expect_runs = 7", 2, "derived_mismatch"),
    (f"expect_by = {LATER}", 2, "derived_mismatch"),
]
OF_THE_WATCH = [
    "expected_runs = 7",
    "expected_runs = NULL",
    f"expected_by = {LATER}",
    "expected_by = NULL",
    f"earlier_sight_at = {LATER}",
    "earlier_sight_at = NULL",
]


@pytest.fixture
def said(engine: Engine) -> Engine:
    """A ledger of: 1 started, 2 status, 3 noted, 4 expected, without protection."""
    recording = Recording(engine)
    recording.watch("one")
    recording.see("one", 10, active(running=2))
    list(note_groups(engine, ["one"], "é 𝄞", actor="ann", now=lambda: after(12), deadline=Deadline(0)))
    recording.expect("one", 13, runs=500, by=after(7200))
    assert findings(engine) == []
    unprotect(engine)
    return engine


def test_altered_remarks(said: Engine) -> None:
    for change, seq, problem in OF_ENTRIES:
        with writing(said) as connection:
            row = connection.execute(text("SELECT * FROM entries WHERE seq = :seq"), {"seq": seq}).mappings()
            before = dict(row.one())
            connection.execute(text(f"UPDATE entries SET {change} WHERE seq = :seq"), {"seq": seq})
        assert brief(findings(said)) == [("one", seq, problem)], change
        with writing(said) as connection:
            restored = ", ".join(f"{name} = :{name}" for name in before if name != "seq")
            connection.execute(text(f"UPDATE entries SET {restored} WHERE seq = :seq"), before)
    assert findings(said) == []


def test_altered_expectations_of_the_watch(said: Engine) -> None:
    for change in OF_THE_WATCH:
        with writing(said) as connection:
            before = dict(connection.execute(text("SELECT * FROM watches")).mappings().one())
            connection.execute(text(f"UPDATE watches SET {change}"))
        assert brief(findings(said)) == [("one", 4, "derived_mismatch")], change
        name = change.split()[0]
        with writing(said) as connection:
            connection.execute(text(f"UPDATE watches SET {name} = :before"), {"before": before[name]})
    assert findings(said) == []
