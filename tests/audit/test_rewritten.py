"""Invalid ledgers with valid digests are found, just as an import would refuse them."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, update

from recorder.audit.export_format import ImportRefusedError, read_export
from recorder.audit.exporter import export_lines
from recorder.store.transactions import reading, writing
from tests.support.recording import RULES, after
from tests.support.tampering import (
    TABLES,
    Harm,
    all_of,
    brief,
    entry,
    findings,
    rechained,
    record,
    statement,
    unprotect,
)

UNREADABLE = "unreadable"
NO_PREVIOUS = {
    "previous_last_asked_at": None,
    "previous_last_seen_at": None,
    "previous_polls": None,
}
PREVIOUS = {
    "previous_last_asked_at": after(0),
    "previous_last_seen_at": after(500),
    "previous_polls": 1,
}
STARTED = {"watch_action": "started"}

# Entries 2, 5, 9, 10 and 11 take the fast path of the row decoder, the others the exact one.
REWRITTEN: dict[str, tuple[Harm, int, str]] = {
    "no interval of the previous status": (entry(10, **NO_PREVIOUS), 10, "previous is there exactly if"),
    "no interval of the previous status in a gap": (
        entry(3, **NO_PREVIOUS),
        3,
        "previous is there exactly if",
    ),
    "no interval of the previous status in a pause": (
        entry(6, **NO_PREVIOUS),
        6,
        "previous is there exactly if",
    ),
    "an interval of a watch entry": (entry(2, **PREVIOUS), 2, "previous is there exactly if"),
    "an interval of a gap": (entry(4, **PREVIOUS), 4, "previous is there exactly if"),
    "an interval of nothing": (entry(1, **PREVIOUS), 1, "previous is there exactly if"),
    "an interval of no polls": (entry(10, previous_polls=0), 10, "polls must be"),
    "an interval of -1 polls": (entry(6, previous_polls=-1), 6, "polls must be"),
    "an interval that ends too early": (
        entry(11, previous_last_seen_at=after(139)),
        11,
        "previous ends before",
    ),
    "an interval that ends too early in a gap": (
        entry(3, previous_last_seen_at=after(9)),
        3,
        "previous ends before",
    ),
    "a ledger that begins with another action": (entry(1, watch_action="resumed"), 1, "a ledger begins"),
    "a second start": (entry(7, **STARTED), 7, "a ledger begins"),
    "a gap that ends before it begins": (entry(3, gap_from=after(81)), 3, "a gap does not end"),
    "attempts below 0": (entry(3, gap_attempts=-1), 3, "attempts must be"),
    "seconds below 0": (entry(3, gap_unpolled_seconds=-0.5), 3, "unpolled_seconds must be"),
    "no HTTP status": (entry(3, gap_http_status=1000), 3, "http_status must be"),
    "no actor": (entry(6, watch_actor=None), 6, "actor must be"),
}
"""Changes to group `one` before its digests are recomputed, with the expected finding."""


pytestmark = pytest.mark.ledger(fill=record)


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    unprotect(engine)
    return engine


def require_found(engine: Engine, harm: Harm, group: str, seq: int, words: str) -> None:
    with writing(engine) as connection:
        harm(connection)
    (finding,) = findings(engine)
    assert brief([finding]) == [(group, seq, UNREADABLE)]
    assert words in finding.detail
    with pytest.raises(ImportRefusedError, match=words), reading(engine) as connection:
        list(read_export(export_lines(connection), RULES.gap_window))


@pytest.mark.parametrize("name", REWRITTEN)
def test_invalid_entries_are_found(recorded: Engine, name: str) -> None:
    harm, seq, words = REWRITTEN[name]
    require_found(recorded, all_of(harm, rechained()), "one", seq, words)


def test_a_group_with_an_invalid_id_is_found(recorded: Engine) -> None:
    def rename(connection: Connection) -> None:
        for table in TABLES:
            mine = table.c.taskgroup_id == "two"
            connection.execute(update(table).where(mine).values(taskgroup_id="tw/o"))

    harm = all_of(rename, rechained("tw/o"))
    require_found(recorded, harm, "tw/o", 1, "taskgroup_id 'tw/o' contains '/'")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("sql", "seq", "words"),
    [
        ("gap_attempts = 'two' WHERE taskgroup_id = 'one' AND seq = 3", 3, "attempts must be"),
        ("watch_note = 'a' || char(0) WHERE taskgroup_id = 'one' AND seq = 6", 6, "note must be"),
    ],
)
def test_values_that_only_sqlite_can_store(recorded: Engine, sql: str, seq: int, words: str) -> None:
    harm = all_of(statement(f"UPDATE entries SET {sql}"), rechained())
    require_found(recorded, harm, "one", seq, words)


def test_recomputing_digests_of_an_unchanged_ledger_changes_nothing(recorded: Engine) -> None:
    with writing(recorded) as connection:
        rechained()(connection)
    assert findings(recorded) == []
