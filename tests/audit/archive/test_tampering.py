"""Tampering with archives and tombstones is found, on both databases."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from recorder.audit.checkpoints import CheckpointHead
from recorder.audit.tombstone_proof import tombstone_digest
from recorder.audit.verify.raw_rows import as_stored
from recorder.store.transactions import writing
from tests.support.archives import (
    archive,
    entry_rows,
    file_findings,
    put_entries,
    record_old,
    tombstone_rows,
    unguard,
)
from tests.support.tampering import Brief, brief, findings, heads_of

Heads = dict[str, CheckpointHead]
DONE = 7
"""The head of the group `done`."""
NAMES = ("cut", "done", "unseen")
MISMATCH, TRUNCATED, UNREADABLE, DERIVED = "digest_mismatch", "truncated", "unreadable", "derived_mismatch"


@pytest.fixture
def heads(engine: Engine) -> Heads:
    """The heads of a checkpoint that was made before the groups were archived."""
    record_old(engine)
    return heads_of(engine)


@pytest.fixture
def file(engine: Engine, heads: Heads, tmp_path: Path) -> Path:
    archive(engine, tmp_path / "old.gz")
    assert findings(engine, heads) == []
    return tmp_path / "old.gz"


def _execute(engine: Engine, statement: str) -> None:
    unguard(engine)
    with writing(engine) as connection:
        assert connection.execute(text(statement)).rowcount


CHANGES: dict[str, tuple[str, Brief]] = {
    "its head": ("UPDATE tombstones SET head_digest = archive_sha256", [("done", DONE, MISMATCH)]),
    "its size": ("UPDATE tombstones SET entries = 1", [("done", DONE, MISMATCH)]),
    "its time": ("UPDATE tombstones SET last_at = first_at", [("done", DONE, MISMATCH)]),
    "its file": ("UPDATE tombstones SET archive_sha256 = head_digest", [("done", DONE, MISMATCH)]),
    "its watch row": ("UPDATE tombstones SET watch = '{}'", [("done", DONE, MISMATCH)]),
    "its digest": ("UPDATE tombstones SET digest = 'x'", [("done", DONE, MISMATCH)]),
    "the tombstone deleted": ("DELETE FROM tombstones", [("done", 1, TRUNCATED)]),
    "an episode": ("UPDATE episodes SET duration_seconds = 1", [("done", DONE, DERIVED)]),
    "a milestone": ("UPDATE milestones SET seconds = 1", [("done", DONE, DERIVED)]),
    "a label": ("UPDATE group_labels SET text = 'evil'", [("done", DONE, DERIVED)]),
    "a labelled duration": ("DELETE FROM labelled_durations", [("done", DONE, DERIVED)]),
    "a summary": ("UPDATE summaries SET created_at = NULL", [("done", DONE, DERIVED)]),
    "no summary": ("DELETE FROM summaries", [("done", DONE, DERIVED)]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_stays_of_a_group(engine: Engine, heads: Heads, file: Path, change: str) -> None:
    statement, expected = CHANGES[change]
    _execute(engine, f"{statement} WHERE taskgroup_id = 'done'")
    assert sorted(brief(findings(engine, heads))) == sorted(expected)


def test_a_deleted_tombstone_is_missed_without_a_checkpoint(engine: Engine, heads: Heads, file: Path) -> None:
    _execute(engine, "DELETE FROM tombstones WHERE taskgroup_id = 'unseen'")
    assert brief(findings(engine)) == [("unseen", 1, DERIVED)]
    assert brief(file_findings(engine, file)) == [("unseen", 1, TRUNCATED)]


def _forged(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a tombstone with changes, and a digest that fits."""
    changed = {**row, **changes}
    return {**changed, "digest": tombstone_digest(as_stored(changed))}


def test_a_forged_tombstone(engine: Engine, heads: Heads, file: Path) -> None:
    """It proves itself, but neither a checkpoint nor the archive."""
    row = next(row for row in tombstone_rows(engine) if row["taskgroup_id"] == "done")
    forged = _forged(row, head_digest="f" * 64)
    _execute(
        engine,
        f"UPDATE tombstones SET head_digest = '{forged['head_digest']}', digest = '{forged['digest']}' "
        "WHERE taskgroup_id = 'done'",
    )
    assert findings(engine) == []
    assert brief(findings(engine, heads)) == [("done", DONE, MISMATCH)]
    assert brief(file_findings(engine, file)) == [("done", DONE, MISMATCH)]


def test_a_tombstone_of_a_group_that_never_was(engine: Engine, heads: Heads, file: Path) -> None:
    _execute(
        engine,
        "INSERT INTO tombstones SELECT 'ghost', head_seq, head_digest, entries, first_at, last_at, "
        "archived_at, archive_sha256, watch, kept, digest FROM tombstones WHERE taskgroup_id = 'done'",
    )
    assert brief(findings(engine, heads)) == [("ghost", DONE, MISMATCH)]
    assert brief(file_findings(engine, file)) == [("ghost", DONE, TRUNCATED)]


def test_an_entry_brought_back_by_hand(engine: Engine, heads: Heads, tmp_path: Path) -> None:
    rows = entry_rows(engine, "done")
    archive(engine, tmp_path / "old.gz")
    put_entries(engine, rows[1:3])
    assert brief(findings(engine, heads)) == [("done", 3, UNREADABLE)]


def test_a_checkpoint_that_is_ahead(engine: Engine, heads: Heads, file: Path) -> None:
    later = {"done": CheckpointHead("done", DONE + 2, "0" * 64, None, None)}
    assert brief(findings(engine, later)) == [("done", DONE + 1, TRUNCATED)]


def test_an_earlier_head_is_proven_by_the_archive(engine: Engine, heads: Heads, file: Path) -> None:
    lines = gzip.decompress(file.read_bytes())
    (digest,) = re.findall(rb'"seq":3,"taskgroup_id":"done".*?"digest":"(\w+)"', lines)
    earlier = {"done": CheckpointHead("done", 3, digest.decode(), None, None)}
    assert findings(engine, earlier) == [] and file_findings(engine, file, earlier) == []
    forged = {"done": CheckpointHead("done", 3, "0" * 64, None, None)}
    assert brief(file_findings(engine, file, forged)) == [("done", 3, MISMATCH)]


def _plain(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change the lines in a file."""
    return lambda packed: gzip.compress(change(gzip.decompress(packed)))


FILES: dict[str, tuple[Callable[[bytes], bytes], set[tuple[str, str]]]] = {
    "a byte in the middle": (
        lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
        {("", MISMATCH), ("", UNREADABLE)},
    ),
    "cut": (lambda data: data[:-9], {("", MISMATCH), ("", UNREADABLE)}),
    "empty": (
        lambda _: b"",
        {("", MISMATCH), ("done", TRUNCATED), ("cut", TRUNCATED), ("unseen", TRUNCATED)},
    ),
    "packed again": (
        lambda data: gzip.compress(gzip.decompress(data), 1),
        {("", MISMATCH), *((name, MISMATCH) for name in NAMES)},
    ),
    "a group removed": (
        _plain(lambda lines: lines[lines.index(b'{"open"') :].split(b"\n", 1)[1]),
        {("", MISMATCH), ("cut", TRUNCATED), ("done", MISMATCH), ("unseen", MISMATCH)},
    ),
    "an actor": (_plain(lambda lines: lines.replace(b"ada", b"eve", 1)), {("", MISMATCH), ("", UNREADABLE)}),
    "the last actor": (
        _plain(lambda lines: lines[::-1].replace(b"ada", b"eve", 1)[::-1]),
        {("", MISMATCH), ("unseen", UNREADABLE)},
    ),
}


@pytest.mark.parametrize("change", FILES)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_changed_file(engine: Engine, heads: Heads, file: Path, change: str) -> None:
    harm, expected = FILES[change]
    file.write_bytes(harm(file.read_bytes()))
    found = file_findings(engine, file)
    assert {(one.taskgroup_id, one.problem.value) for one in found} == expected


def test_a_file_of_another_database(engine: Engine, heads: Heads, file: Path) -> None:
    for name in ("tombstones", "summaries", "episodes", "milestones", "group_labels", "labelled_durations"):
        _execute(engine, f"DELETE FROM {name} WHERE taskgroup_id <> 'live'")
    assert findings(engine) == []
    expected = [(name, 1, TRUNCATED) for name in NAMES]
    assert brief(file_findings(engine, file)) == expected


def test_statistics_that_do_not_follow_from_the_file(engine: Engine, heads: Heads, file: Path) -> None:
    """A forger who changes an episode must change the tombstone with it."""
    row = next(row for row in tombstone_rows(engine) if row["taskgroup_id"] == "done")
    forged = _forged(row, kept="0" * 64)
    _execute(
        engine,
        f"UPDATE tombstones SET kept = '{forged['kept']}', digest = '{forged['digest']}' "
        "WHERE taskgroup_id = 'done'",
    )
    assert brief(file_findings(engine, file)) == [("done", DONE, DERIVED)]
