"""Rows that no recorder writes do not hide anything, and inconsistent heads are never attested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, Table, text

from recorder.audit.verify import runner as verification
from recorder.store.transactions import writing
from tests.support.forker import Forker
from tests.support.program import Program
from tests.support.store_samples import body, enrol, poll, seen
from tests.support.tampering import TABLES, findings, heads_of, record

COPY = "INSERT INTO episodes SELECT {columns} FROM episodes WHERE taskgroup_id = 'one'"


@pytest.fixture
def program(database_url: str, engine: Engine, tmp_path: Path, forker: Forker) -> Program:
    for group in ("one", "two"):
        enrol(engine, group)
        poll(engine, group, seen(body(group, 1), 1))
        poll(engine, group, seen(body(group, 5), 15))
    return Program(tmp_path, forker, {"RECORDER_DATABASE_URL": database_url})


def _do(engine: Engine, *statements: str) -> None:
    with writing(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_a_forged_episode_with_the_smallest_number_is_found(program: Program, engine: Engine) -> None:
    with writing(engine) as connection:
        names = list(connection.execute(text("SELECT * FROM episodes")).keys())
    columns = ", ".join("-9223372036854775808" if name == "number" else name for name in names)
    _do(engine, COPY.format(columns=columns))
    ended = program.run("verify")
    assert ended.status == 1 and "derived_mismatch" in ended.out
    assert program.run("verify", "one").status == 1


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE watches SET head_digest = 'x' WHERE taskgroup_id = 'two'",
        "UPDATE watches SET head_seq = 2 WHERE taskgroup_id = 'two'",
        "UPDATE watches SET head_seq = -1 WHERE taskgroup_id = 'two'",
        "UPDATE watches SET head_seq = 9223372036854775807 WHERE taskgroup_id = 'two'",
    ],
)
def test_a_checkpoint_refuses_an_inconsistent_head(
    program: Program, engine: Engine, tmp_path: Path, harm: str
) -> None:
    _do(engine, harm)
    refused = program.run("checkpoint", "--out", str(tmp_path / "heads.ndjson")).complaint()
    assert "two: its watch row does not name its newest entry (see: recorder verify)" in refused
    assert not list(tmp_path.glob("heads*"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("harm", ["last_seen_at = 'garbage'", "head_seq = 'x'"])
def test_unreadable_rows_are_reported_in_one_line(program: Program, engine: Engine, harm: str) -> None:
    _do(engine, f"UPDATE watches SET {harm} WHERE taskgroup_id = 'two'")
    for command in ("checkpoint", "export"):
        assert "recorder verify" in program.run(command, "--out", "out.ndjson").complaint()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_id_that_is_not_text_does_not_stop_verification(program: Program, engine: Engine) -> None:
    assert program.run("checkpoint", "--out", "heads.ndjson").status == 0
    _do(engine, "INSERT INTO group_labels (taskgroup_id, key, value) VALUES (x'00', 'k', 'v')")
    for arguments in ([], ["--checkpoint", "heads.ndjson"]):
        ended = program.run("verify", *arguments)
        assert ended.status == 1 and "derived_mismatch" in ended.out


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("at_once", [10_000, 2])
@pytest.mark.parametrize("raw", ["80", "ff41"])
@pytest.mark.parametrize("table", TABLES, ids=str)
def test_an_id_with_invalid_utf8_is_found_and_its_neighbours_are_verified(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, table: Table, raw: str, at_once: int
) -> None:
    monkeypatch.setattr(verification, "ENTRIES_AT_ONCE", at_once)
    record(engine)
    for group in ("é", "\U0001f600"):
        enrol(engine, group)
    heads = heads_of(engine)
    with writing(engine) as connection:
        names = [f'"{column.name}"' for column in table.c]
        copied = ", ".join(names).replace('"taskgroup_id"', f"CAST(x'{raw}' AS TEXT)")
        rows = f"SELECT {copied} FROM {table} WHERE taskgroup_id = 'one'"
        connection.execute(text(f"INSERT INTO {table} ({', '.join(names)}) {rows}"))
        connection.execute(text("UPDATE watches SET state = 'paused' WHERE taskgroup_id > 'two'"))
    odd = bytes.fromhex(raw).decode("utf-8", "surrogateescape")
    for known in ({}, heads):
        found = findings(engine, known)
        assert {finding.taskgroup_id for finding in found} == {odd, "é", "\U0001f600"}
        json.dumps([finding.members() for finding in found], ensure_ascii=False).encode()


def test_a_checkpoint_without_heads_proves_nothing(program: Program, tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").touch()
    refused = program.run("verify", "--checkpoint", "empty.ndjson").complaint(2)
    assert "it has no heads" in refused
