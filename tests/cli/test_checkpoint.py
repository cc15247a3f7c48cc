"""`recorder checkpoint`: one line per head, and a digest that `sha256sum` verifies."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest
from sqlalchemy import Engine

from recorder.audit.checkpoints import read_checkpoint
from tests.support.exports import ODD, record
from tests.support.program import Program
from tests.support.recording import Recording

SQLITE = ["sqlite"]


def summary(checkpoint: bytes, heads: str) -> str:
    return f"{heads}, sha256 {hashlib.sha256(checkpoint).hexdigest()}\n"


@pytest.mark.ledger(fill=record)
def test_the_checkpoint_goes_to_stdout_and_a_summary_to_stderr(program: Program, engine: Engine) -> None:
    result = program.run("checkpoint")
    assert result.status == 0
    assert [json.loads(line)["taskgroup_id"] for line in result.out.splitlines()] == [
        ODD,
        "never",
        "one",
        "seen once",
    ]
    assert result.err == summary(result.out.encode(), "4 heads of 12 entries")
    assert program.run("checkpoint", "--out", "-") == result
    assert read_checkpoint(result.out.encode().splitlines())["one"].seq == 5


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_without_groups_the_checkpoint_is_empty(program: Program) -> None:
    result = program.run("checkpoint")
    assert (result.status, result.out, result.err) == (0, "", summary(b"", "0 heads of 0 entries"))


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
@pytest.mark.parametrize("name", ["heads", "a b \\ é", "two\nlines", "--", "folder/heads"])
def test_a_digest_file_is_written_next_to_the_file(program: Program, engine: Engine, name: str) -> None:
    Recording(engine).watch("one")
    folder = program.folder / "folder"
    folder.mkdir()
    result = program.run("checkpoint", f"--out={name}")
    written = (program.folder / name).read_bytes()
    assert (result.status, result.out, result.err) == (0, "", summary(written, "1 head of 1 entry"))
    assert written.decode() == program.run("checkpoint").out
    path = program.folder / name
    check = ["sha256sum", "--strict", "-c", "--", f"{path.name}.sha256"]
    assert subprocess.run(check, cwd=path.parent, check=False, capture_output=True).returncode == 0
    path.write_bytes(written.replace(b'"seq":1', b'"seq":2'))
    assert subprocess.run(check, cwd=path.parent, check=False, capture_output=True).returncode == 1
    assert list(program.folder.rglob("*.part")) == []


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_an_existing_file_is_replaced(program: Program, engine: Engine) -> None:
    Recording(engine).watch("one")
    program.run("checkpoint", "--out", "heads")
    program.run("watch", "two")
    assert program.run("checkpoint", "--out", "heads").status == 0
    assert len((program.folder / "heads").read_bytes().splitlines()) == 2


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_an_impossible_path_is_reported_in_one_line(program: Program) -> None:
    assert "no/such/folder/heads" in program.run("checkpoint", "--out", "no/such/folder/heads").complaint()
    assert "--out" in program.run("checkpoint", "--out", ".").wrong_usage()


def test_a_missing_database_is_not_created(bare: Program) -> None:
    assert "recorder db upgrade" in bare.run("checkpoint", "--out", "heads").complaint()
    assert list(bare.folder.iterdir()) == []
