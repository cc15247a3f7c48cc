"""The lines of an export, checked without the recorder's own code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from sqlalchemy import Engine, insert, update

from recorder.audit.exporter import ExportError, entries_of_groups, export_lines
from recorder.store.engine import check_url, open_engine
from recorder.store.history import read_entries
from recorder.store.tables import entries, watches
from recorder.store.transactions import reading, writing
from tests.support.chain_oracle import record_of
from tests.support.exports import IDS, INEXACT, ODD, exported, record, verified
from tests.support.recording import Recording, active, after

VERIFIER = Path(__file__).parents[2] / "docs/examples/verify_export.py"


@pytest.mark.ledger(fill=record)
def test_every_digest_follows_from_its_line_and_the_previous_digest(engine: Engine) -> None:
    found = verified(exported(engine))
    kinds = {
        taskgroup_id: [record["kind"] for record in records] for taskgroup_id, (records, _) in found.items()
    }
    assert kinds == {
        ODD: ["watch", "status", "watch"],
        "never": ["watch"],
        "one": ["watch", "status", "status", "gap", "status"],
        "seen once": ["watch", "status", "watch"],
    }
    assert found[ODD][0][1]["upstream_text"] == INEXACT
    assert found[ODD][0][2]["previous"]["polls"] == 2


@pytest.mark.ledger(fill=record)
def test_records_match_the_ledger(engine: Engine) -> None:
    found = verified(exported(engine))
    for taskgroup_id, (records, _) in found.items():
        with reading(engine) as connection:
            expected = [record_of(entry) for entry in read_entries(connection, taskgroup_id)]
        assert [_plain(record) for record in records] == [_plain(record) for record in expected]


@pytest.mark.ledger(fill=record)
def test_open_lines_have_the_state_of_the_watch(engine: Engine) -> None:
    unseen = dict.fromkeys(["last_asked_at", "last_seen_at", "polls"])
    assert {taskgroup_id: opened for taskgroup_id, (_, opened) in verified(exported(engine)).items()} == {
        ODD: {"taskgroup_id": ODD, "state": "paused", **unseen, "due_at": None},
        "never": {
            "taskgroup_id": "never",
            "state": "watching",
            **unseen,
            "due_at": "2026-11-24T12:02:10.000000Z",
        },
        "one": {
            "taskgroup_id": "one",
            "state": "watching",
            "last_asked_at": "2026-11-24T12:01:39.750000Z",
            "last_seen_at": "2026-11-24T12:01:40.000000Z",
            "polls": 1,
            "due_at": "2026-11-24T12:01:50.000000Z",
        },
        "seen once": {"taskgroup_id": "seen once", "state": "stopped", **unseen, "due_at": None},
    }


def test_groups_are_sorted_by_the_bytes_of_their_ids(engine: Engine) -> None:
    recording = Recording(engine)
    for taskgroup_id in IDS:
        recording.watch(taskgroup_id)
    assert len(verified(exported(engine))) == len(IDS)
    assert exported(engine, IDS) == exported(engine, [*IDS, *reversed(IDS)]) == exported(engine)


@pytest.mark.ledger(fill=record)
def test_selected_groups_have_the_same_lines_as_in_a_full_export(engine: Engine) -> None:
    whole = exported(engine).splitlines(keepends=True)
    some = exported(engine, ["one", "nobody", ODD])
    assert list(verified(some)) == [ODD, "one"]
    assert [line for line in whole if line in some] == some.splitlines(keepends=True)
    with reading(engine) as connection:
        assert entries_of_groups(connection, ["one", "nobody", ODD]) == {"one": 5, ODD: 3}
    assert exported(engine, []) == b""


def test_an_export_without_groups_is_empty(engine: Engine) -> None:
    assert exported(engine) == b""


@pytest.mark.ledger(fill=record)
def test_an_export_is_a_snapshot(engine: Engine, database_url: str) -> None:
    before = exported(engine)
    reader = open_engine(check_url(database_url), read_only=True)
    with reading(reader) as connection:
        lines = export_lines(connection)
        first = next(lines)
        recording = Recording(engine)
        recording.see("one", 141, active(running=1))
        recording.pause("never", at=150)
        recording.watch("zzz", at=160)
        assert first + b"".join(lines) == before
    reader.dispose()
    assert len(verified(exported(engine))["one"][0]) == 7


def _plain(value: Any) -> str:
    """Return a value as text, since 1, 1.0 and true are equal in Python."""
    return rfc8785.dumps(value).decode()


DAMAGES = {
    "newest entry missing": (
        update(watches).values(head_seq=watches.c.head_seq + 1),
        "one: its ledger does not end with entry 6",
    ),
    "newest entry replaced": (
        update(watches).values(head_digest="0" * 64),
        "one: its ledger does not end with entry 5",
    ),
    "watch unreadable": (update(watches).values(state="asleep"), "the watch row after 'never'"),
    "entry unreadable": (
        insert(entries).values(taskgroup_id="one", seq=6, kind="status", at=after(200), digest="0" * 64),
        "one: entry 6 cannot be read",
    ),
    "all entries missing": (
        insert(watches).from_select(
            ["taskgroup_id", "state", "enrolled_at", "head_seq", "head_kind", "head_at", "head_digest"],
            watches.select()
            .where(watches.c.taskgroup_id == "never")
            .with_only_columns(
                ("n" + watches.c.taskgroup_id).label("taskgroup_id"),
                watches.c.state,
                watches.c.enrolled_at,
                watches.c.head_seq,
                watches.c.head_kind,
                watches.c.head_at,
                watches.c.head_digest,
            ),
        ),
        "nnever: its ledger does not end with entry 1",
    ),
}


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_error_names_a_damaged_ledger(engine: Engine, damage: str) -> None:
    statement, words = DAMAGES[damage]
    if statement.is_update:
        statement = statement.where(watches.c.taskgroup_id == "one")
    with writing(engine) as connection:
        connection.execute(statement)
    with pytest.raises(ExportError, match=words):
        exported(engine)
    assert list(verified(exported(engine, [ODD, "never"]))) == [ODD, "never"]


def _verifier(export: bytes, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(VERIFIER), *arguments], input=export, capture_output=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_example_script_verifies_an_export(engine: Engine, tmp_path: Path) -> None:
    export = exported(engine)
    path = tmp_path / "export.ndjson"
    path.write_bytes(export)
    assert _verifier(export) == (0, "12 entries in 4 groups: intact\n")
    assert _verifier(b"", str(path)) == (0, "12 entries in 4 groups: intact\n")
    assert _verifier(b"") == (0, "0 entries in 0 groups: intact\n")


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_example_script_names_the_first_broken_line(engine: Engine) -> None:
    export = exported(engine)
    lines = export.splitlines(keepends=True)
    changed = export.replace(b'"queued":3', b'"queued":4')
    assert changed != export
    place = next(number for number, line in enumerate(lines, 1) if b'"queued":3' in line)
    for tampered, number in {
        changed: place,
        b"".join(lines[: place - 1] + lines[place:]): place,
        b"".join(lines[:place] + lines[place - 1 :]): place + 1,
        b"".join(lines[:4] * 2): 5,
        b"".join(lines[1:]): 1,
        export[:-20]: len(lines),
        b"".join(lines[4:] + lines[:4]): len(lines) - 3,
        b"".join(lines[:-1]): len(lines) - 1,
        b"[]\n" + export: 1,
        b"".join(lines[:3] + lines[4:]): 4,
    }.items():
        status, output = _verifier(tampered)
        assert (status, output.startswith(f"line {number} ")) == (1, True), output
