"""`recorder archive`, and what other commands say about archived groups."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine

from tests.support.archives import record_old, tombstone_rows
from tests.support.program import Program

BEFORE = ("--before", "2026-11-25T00:00:00Z")
SQLITE = ["sqlite"]


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    record_old(engine)
    return engine


def test_there_and_back(program: Program, recorded: Engine) -> None:
    completion = program.ok("completion", "--json")
    heads = program.run("checkpoint", "--out", "heads.ndjson")
    assert heads.status == 0
    dry = program.ok("archive", *BEFORE, "--dry-run").splitlines()
    assert dry[0].startswith("would archive 16 entries in 3 groups, about ")
    assert dry[1:] == ["held back: 1 group being watched"] and tombstone_rows(recorded) == []
    told = json.loads(program.ok("archive", *BEFORE, "--out", "old.zst", "--json"))
    assert (told["file"], told["groups"], told["entries"]) == ("old.zst", 3, 16)
    assert told["held_back"]["watched"] == 1 and told["damaged"] == []
    sums = (program.folder / "old.zst.sha256").read_text()
    assert sums == f"{told['archive_sha256']}  old.zst\n"
    complaint = program.run("archive", *BEFORE, "--out", "old.zst").complaint()
    assert "never overwritten; 3 archived groups need it" in complaint
    (program.folder / "mine").write_text("mine")
    complaint = program.run("archive", *BEFORE, "--out", "mine").complaint()
    assert "never overwritten; no archived group needs it" in complaint
    assert program.ok("archive", *BEFORE, "--out", "b.zst").splitlines()[0] == "nothing to archive"
    assert program.ok("completion", "--json") == completion
    assert "intact" in program.ok("verify", "--checkpoint", "heads.ndjson", "--archive", "old.zst")
    assert program.ok("import", "--restore", "old.zst").startswith("16 entries in 3 groups restored into ")
    assert tombstone_rows(recorded) == [] and program.ok("completion", "--json") == completion
    assert "3 groups stood there already" in program.ok("import", "--restore", "old.zst")


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_commands_say_in_one_line_that_a_group_is_archived(program: Program, recorded: Engine) -> None:
    program.ok("archive", *BEFORE, "--out", "old.gz")
    commands = [("status",), ("history",), ("gaps",), ("completion",), ("note",), ("expect",), ("unwatch",)]
    commands += [("resume",), ("export",), ("wait",), ("watch",)]
    more = {"note": ["text"], "expect": ["--runs", "5"]}
    for (command,) in commands:
        complaint = program.run(command, "done", *more.get(command, [])).complaint()
        assert "is archived; bring it back first with: recorder import --restore FILE" in complaint
    listed = program.run("watch", "--exact", "-", text="done\nnew\n")
    assert (listed.status, listed.out) == (1, "new: watching\n")


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_a_folder_that_is_not_there(program: Program, recorded: Engine) -> None:
    complaint = program.run("archive", *BEFORE, "--out", "missing/old.gz").complaint()
    assert complaint == "Error: missing/old.gz: No such file or directory" and tombstone_rows(recorded) == []


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_a_changed_archive_is_a_finding(program: Program, recorded: Engine) -> None:
    program.ok("archive", *BEFORE, "--out", "old.ndjson")
    file = program.folder / "old.ndjson"
    file.write_bytes(file.read_bytes().replace(b"ada", b"eve", 1))
    result = program.run("verify", "--archive", "old.ndjson", "--json")
    assert result.status == 1
    assert {one["problem"] for one in json.loads(result.out)["findings"]} == {"digest_mismatch", "unreadable"}
    assert "line 1" in program.run("import", "--restore", "old.ndjson").complaint()


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "a"], "either --older-than or --before"),
        (["--older-than", "1d", *BEFORE, "--out", "a"], "either --older-than or --before"),
        (["--older-than", "soon", "--out", "a"], "such as 90d"),
        (["--before", "yesterday", "--out", "a"], "RFC 3339"),
        (["--older-than", "1d"], "--out FILE"),
        (["--older-than", "1d", "--out", "-"], "needs a file"),
        (["--older-than", "1d", "--out", "a", "--metadata", "x"], "KEY=VALUE"),
    ],
)
def test_wrong_usage(program: Program, arguments: list[str], words: str) -> None:
    assert words in program.run("archive", *arguments).wrong_usage()
