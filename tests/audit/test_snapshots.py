"""Whoever changes what was kept of the provider's claims is found by `verify`."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from recorder.audit.checkpoints import read_heads
from recorder.store.transactions import reading, writing
from tests.support.archives import archive, restore, stop
from tests.support.recording import Recording, after, settled
from tests.support.run_claims import backfill, said
from tests.support.tampering import Brief, brief, findings

EVENTS = [said(1), said(2, "running"), said(3, "completed", processor="ä"), said(4, modified=-1)]


def _fill(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("kept")
    recording.see("kept", 1, settled(completed=1), metadata={"kept": "no"})
    backfill(engine, "kept", EVENTS, after(2))
    backfill(engine, "other", EVENTS, after(3))


pytestmark = pytest.mark.ledger(fill=_fill)

HARM = {
    "a word of the provider": (
        "UPDATE run_claims SET said = replace(said, 'core', 'lite') "
        "WHERE run_id = 'trun_1' AND taskgroup_id = 'kept'",
        [("kept", 3, "derived_mismatch"), ("kept", 3, "digest_mismatch")],
    ),
    "a column alone": (
        "UPDATE run_claims SET status = 'failed' WHERE run_id = 'trun_1' AND taskgroup_id = 'kept'",
        [("kept", 3, "derived_mismatch")],
    ),
    "a time made null": (
        "UPDATE run_claims SET modified_at = NULL WHERE run_id = 'trun_2' AND taskgroup_id = 'other'",
        [("other", 2, "derived_mismatch")],
    ),
    "words that are no JSON": (
        "UPDATE run_claims SET said = '{' WHERE run_id = 'trun_2' AND taskgroup_id = 'other'",
        [("other", 2, "derived_mismatch"), ("other", 2, "digest_mismatch")],
    ),
    "a run removed": (
        "DELETE FROM run_claims WHERE run_id = 'trun_2' AND taskgroup_id = 'kept'",
        [("kept", 3, "digest_mismatch")],
    ),
    "a digest": (
        "UPDATE run_snapshots SET digest = 'ff' WHERE taskgroup_id = 'kept'",
        [("kept", 3, "digest_mismatch")],
    ),
    "the snapshot of another entry": (
        "UPDATE run_snapshots SET seq = 1 WHERE taskgroup_id = 'other'",
        [("other", 1, "digest_mismatch"), ("other", 2, "digest_mismatch")],
    ),
    "the snapshot without its runs": (
        "DELETE FROM run_snapshots WHERE taskgroup_id = 'kept'",
        [("kept", 3, "digest_mismatch")],
    ),
}


def _found(engine: Engine) -> Brief:
    return sorted(brief(findings(engine)))


def _change(engine: Engine, statement: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(statement))


def test_nothing_is_found_as_long_as_nothing_is_changed(engine: Engine) -> None:
    assert _found(engine) == []


@pytest.mark.parametrize("harm", HARM)
def test_what_was_changed_is_found(engine: Engine, harm: str) -> None:
    statement, expected = HARM[harm]
    _change(engine, statement)
    assert _found(engine) == expected


def test_a_whole_snapshot_exchanged_with_its_digest_is_found(engine: Engine) -> None:
    """The chain has the digest: a row beside it does not count."""
    backfill(engine, "forged", EVENTS[:2], after(4))
    _change(engine, "DELETE FROM run_claims WHERE taskgroup_id = 'kept' AND run_id IN ('trun_3', 'trun_4')")
    _change(
        engine,
        "UPDATE run_snapshots SET runs = 2, digest = "
        "(SELECT digest FROM run_snapshots WHERE taskgroup_id = 'forged') WHERE taskgroup_id = 'kept'",
    )
    assert _found(engine) == [("kept", 3, "digest_mismatch")]


def test_snapshots_of_archived_groups_are_checked_too(engine: Engine, tmp_path: Path) -> None:
    stop(engine, "kept", 5)
    archive(engine, tmp_path / "kept.ndjson", ("kept", "no"))
    assert _found(engine) == []
    _change(engine, "UPDATE run_claims SET said = '{}' WHERE run_id = 'trun_1' AND taskgroup_id = 'kept'")
    assert _found(engine) == [("kept", 3, "derived_mismatch"), ("kept", 3, "digest_mismatch")]


def test_a_restored_group_is_proven_with_its_snapshot(engine: Engine, tmp_path: Path) -> None:
    stop(engine, "kept", 5)
    archive(engine, tmp_path / "kept.ndjson", ("kept", "no"))
    restore(engine, tmp_path / "kept.ndjson")
    assert _found(engine) == []
    _change(engine, "UPDATE run_snapshots SET digest = 'ff' WHERE taskgroup_id = 'kept'")
    assert _found(engine) == [("kept", 3, "digest_mismatch")]


def test_checkpoints_cover_the_entry(engine: Engine) -> None:
    with reading(engine) as connection:
        heads = {head.taskgroup_id: head.seq for head in read_heads(connection)}
    assert heads == {"kept": 3, "other": 3}
