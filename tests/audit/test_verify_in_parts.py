"""Verifying in parts: what has changed since a checkpoint, or for a limited time; and ends lost together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from recorder.audit.checkpoints import checkpoint_lines
from recorder.store.transactions import writing
from tests.support.audit_ledgers import random_ledgers, write
from tests.support.forker import Forker
from tests.support.program import Program
from tests.support.recording import Recording, active, after, settled
from tests.support.tampering import (
    Harm,
    entry,
    forget,
    gone,
    heads_of,
    put_back,
    rechained,
    record,
    rows_of,
    unprotect,
    watch,
)

SHORTEST = "0.000001"


@pytest.fixture
def program(tmp_path: Path, forker: Forker, database_url: str) -> Program:
    given = {"RECORDER_DATABASE_URL": database_url, "XDG_STATE_HOME": str(tmp_path / "state")}
    return Program(tmp_path, forker, given)


def checkpoint_of(engine: Engine, folder: Path) -> str:
    path = folder / "heads.ndjson"
    path.write_bytes(b"".join(checkpoint_lines(heads_of(engine).values())))
    return str(path)


def report_of(program: Program, *arguments: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(program.run("verify", "--json", *arguments).out)
    return result


def brief_of(report: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(one["taskgroup_id"], one["seq"], one["problem"]) for one in report["findings"]]


@pytest.mark.ledger(fill=record)
def test_since_reads_only_ledgers_with_newer_entries(
    program: Program, engine: Engine, tmp_path: Path
) -> None:
    file = checkpoint_of(engine, tmp_path)
    assert program.ok("verify", "--since", file) == "0 entries in 0 groups: intact\n"
    recording = Recording(engine)
    recording.watch("new")
    recording.pause("never seen", 300)
    assert program.ok("verify", "--since", file) == "4 entries in 2 groups: intact\n"
    unprotect(engine)
    with writing(engine) as connection:
        entry(5, failed=7)(connection)
    assert report_of(program, "--since", file)["findings"] == []
    assert brief_of(report_of(program)) == [("one", 5, "digest_mismatch")]


@pytest.mark.ledger(fill=record)
def test_since_compares_every_head(program: Program, engine: Engine, tmp_path: Path) -> None:
    file = checkpoint_of(engine, tmp_path)
    unprotect(engine)
    with writing(engine) as connection:
        entry(5, failed=7)(connection)
        rechained("one")(connection)
        connection.execute(text("UPDATE watches SET polls = 1 WHERE taskgroup_id = 'two'"))
        forget(connection, "never seen")
    found = brief_of(report_of(program, "--since", file))
    assert ("one", 11, "digest_mismatch") in found
    assert ("two", 11, "truncated") in found
    assert ("never seen", 1, "truncated") in found


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize(
    "harm",
    [gone(11), watch(last_seen_at=after(151)), watch(polls=1), watch(head_digest="0" * 64)],
)
def test_since_finds_an_end_that_was_cut_short(
    program: Program, engine: Engine, tmp_path: Path, harm: Harm
) -> None:
    file = checkpoint_of(engine, tmp_path)
    unprotect(engine)
    with writing(engine) as connection:
        harm(connection)
    found = brief_of(report_of(program, "--since", file))
    assert [one[:2] for one in found] == [("one", 11)]


def test_a_budget_continues_where_it_stopped_and_begins_anew_at_the_end(
    program: Program, engine: Engine
) -> None:
    write(engine, random_ledgers(3, groups=23, entries_each=2, oddity=0, trouble=0))
    whole = report_of(program)
    assert (whole["groups"], whole["findings"]) == (23, [])
    unprotect(engine)
    with writing(engine) as connection:
        connection.execute(
            text("UPDATE entries SET watch_actor = 'eve' WHERE seq = 1"),
        )
    for _ in range(2):
        runs = [program.run("verify", "--json", "--budget", SHORTEST) for _ in range(4)]
        reports = [json.loads(run.out) for run in runs]
        assert [report["groups"] for report in reports] == [10, 10, 3, 0]
        assert sum(report["entries"] for report in reports) == whole["entries"]
        named = [one["taskgroup_id"] for report in reports for one in report["findings"]]
        assert (named, len(set(named))) == (sorted(named), 23)
        assert [run.status for run in runs] == [1, 1, 1, 0]
        assert ["complete" in run.err for run in runs] == [False, False, False, True]
        assert f"{whole['entries']} entries in 23 groups, 23 findings" in runs[-1].err


@pytest.mark.ledger(fill=record)
def test_a_budget_that_suffices(program: Program, engine: Engine, tmp_path: Path) -> None:
    for _ in range(2):
        result = program.run("verify", "--budget", "3600")
        assert (result.status, result.out) == (0, "23 entries in 3 groups: intact\n")
        assert "is complete: 23 entries in 3 groups, 0 findings" in result.err
    file = checkpoint_of(engine, tmp_path)
    result = program.run("verify", "--budget", "3600", "--since", file)
    assert (result.status, result.out) == (0, "0 entries in 0 groups: intact\n")


@pytest.mark.ledger(fill=record)
def test_a_file_of_a_round_that_cannot_be_read_begins_a_new_one(
    program: Program, engine: Engine, tmp_path: Path
) -> None:
    assert program.run("verify", "--budget", SHORTEST).status == 0
    (path,) = (tmp_path / "state").rglob("round.json")
    path.write_text('{"after": 7}')
    assert program.run("verify", "--budget", SHORTEST).out == "23 entries in 3 groups: intact\n"
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("")
    assert "cannot keep how far" in program.run("verify", "--budget", "1").complaint()


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_cannot_be_combined(program: Program, engine: Engine, tmp_path: Path) -> None:
    file = checkpoint_of(engine, tmp_path)
    for given in (
        ["--since", file, "one"],
        ["--since", file, "--checkpoint", file],
        ["--budget", "1", "one"],
        ["--budget", "1", "--archive", file],
        ["--budget", "1", "--jobs", "2"],
    ):
        assert "cannot be combined" in program.run("verify", *given).wrong_usage()
    assert "--budget" in program.run("verify", "--budget", "0").wrong_usage()
    Path(file).write_bytes(b"")
    assert "--since" in program.run("verify", "--since", file).wrong_usage()


def test_ends_lost_together_are_told_in_one_line(program: Program, engine: Engine, tmp_path: Path) -> None:
    """A standby takes over that lacked the newest entries, and recording continues there."""
    names = [f"group {number}" for number in range(8)]
    before = Recording(engine)
    for name in names:
        before.watch(name)
        before.see(name, 10, active(running=3))
    kept = rows_of(engine)
    for name in names[:7]:
        before.see(name, 20, active(running=2, completed=1))
    file = checkpoint_of(engine, tmp_path)
    unprotect(engine)
    with writing(engine) as connection:
        put_back(connection, None, kept)
    continued = Recording(engine)
    for name in names[:4]:
        continued.see(name, 30, settled(completed=3))
    for option in ("--checkpoint", "--since"):
        result = program.run("verify", option, file)
        assert result.status == 1
        assert "The newest entries of 7 groups are not those of the checkpoint" in result.out
        assert "group 3" not in result.out
        assert result.out.endswith("8 groups: 7 findings\n" if option == "--checkpoint" else "7 findings\n")
        assert brief_of(report_of(program, option, file)) == [
            *((name, 3, "digest_mismatch") for name in names[:4]),
            *((name, 3, "truncated") for name in names[4:7]),
        ]
    with writing(engine) as connection:
        connection.execute(text("UPDATE entries SET running = 9 WHERE taskgroup_id = 'group 6' AND seq = 2"))
    out = program.run("verify", "--checkpoint", file).out
    assert "of 6 groups are not those" in out
    assert "group 6" in out
