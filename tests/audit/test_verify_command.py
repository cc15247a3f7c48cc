"""The output and exit status of `recorder verify`, for intact and damaged databases."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from recorder.audit.checkpoints import checkpoint_digest, checkpoint_lines
from recorder.store.transactions import writing
from tests.support.audit_ledgers import random_ledgers, write
from tests.support.forker import Forker
from tests.support.postgres import waiting_sessions
from tests.support.program import STOP_SECONDS, Program, command_line, wait_until
from tests.support.tampering import Harm, all_of, entry, gone, heads_of, record, statement, unprotect
from tests.support.terminal import read_all

INTACT = "23 entries in 3 groups: intact\n"


@pytest.fixture
def program(tmp_path: Path, forker: Forker, database_url: str) -> Program:
    """The program, set up for a fresh database."""
    return Program(tmp_path, forker, {"RECORDER_DATABASE_URL": database_url})


def harm(engine: Engine, what: Harm) -> None:
    unprotect(engine)
    with writing(engine) as connection:
        what(connection)


@pytest.fixture
def checkpoint(engine: Engine, tmp_path: Path) -> Path:
    """A checkpoint of the recorded database, with its digest file."""
    path = tmp_path / "heads.ndjson"
    lines = list(checkpoint_lines(heads_of(engine).values()))
    path.write_bytes(b"".join(lines))
    path.with_name("heads.ndjson.sha256").write_text(f"{checkpoint_digest(lines)}  heads.ndjson\n")
    return path


@pytest.mark.ledger(fill=record)
def test_an_intact_database(program: Program, engine: Engine) -> None:
    assert program.ok("verify") == INTACT
    assert json.loads(program.ok("verify", "--json")) == {"entries": 23, "groups": 3, "findings": []}


def test_an_empty_database_is_intact(program: Program) -> None:
    assert program.ok("verify") == "0 entries in 0 groups: intact\n"


@pytest.mark.ledger(fill=record)
def test_findings_are_printed_as_a_table_and_set_the_exit_status(program: Program, engine: Engine) -> None:
    harm(engine, all_of(entry(5, failed=7), gone(11)))
    result = program.run("verify")
    assert (result.status, result.err) == (1, "")
    rows = [line.split(maxsplit=3) for line in result.out.splitlines() if line.startswith("one ")]
    assert [row[:3] for row in rows] == [["one", "5", "digest_mismatch"], ["one", "11", "truncated"]]
    assert "altered" in rows[0][3]
    assert "entry 11 is missing" in rows[1][3]
    assert result.out.splitlines()[-1] == "22 entries in 3 groups: 2 findings"


@pytest.mark.ledger(fill=record)
def test_findings_as_json(program: Program, engine: Engine) -> None:
    harm(engine, all_of(entry(5, failed=7), gone(11)))
    result = program.run("verify", "--json")
    assert (result.status, result.err) == (1, "")
    report = json.loads(result.out)
    assert (report["entries"], report["groups"]) == (22, 3)
    assert [(one["taskgroup_id"], one["seq"], one["problem"]) for one in report["findings"]] == [
        ("one", 5, "digest_mismatch"),
        ("one", 11, "truncated"),
    ]
    assert all(one.keys() == {"taskgroup_id", "seq", "problem", "detail"} for one in report["findings"])


@pytest.mark.ledger(fill=record)
def test_selected_groups(program: Program, engine: Engine) -> None:
    harm(engine, entry(5, failed=7))
    assert program.ok("verify", "two", "never seen", "two") == "12 entries in 2 groups: intact\n"
    assert "digest_mismatch" in program.run("verify", "one").out


@pytest.mark.ledger(fill=record)
def test_an_unknown_group_is_reported_in_one_line(program: Program, engine: Engine) -> None:
    for options in ([], ["--json"]):
        assert "nobody" in program.run("verify", "one", "nobody", *options).complaint()


@pytest.mark.ledger(fill=record)
def test_a_matching_checkpoint(program: Program, checkpoint: Path) -> None:
    assert program.ok("verify", "--checkpoint", str(checkpoint)) == INTACT


@pytest.mark.ledger(fill=record)
def test_a_group_that_is_only_in_the_checkpoint(program: Program, checkpoint: Path) -> None:
    other = checkpoint.with_name("other.ndjson")
    other.write_bytes(checkpoint.read_bytes().replace(b'"one"', b'"lost"'))
    for ids in ([], ["lost"]):
        result = program.run("verify", *ids, "--checkpoint", str(other), "--json")
        (finding,) = json.loads(result.out)["findings"]
        assert (finding["taskgroup_id"], finding["seq"], finding["problem"]) == ("lost", 1, "truncated")
    assert program.ok("verify", "two", "--checkpoint", str(other)) == "11 entries in 1 group: intact\n"


@pytest.mark.ledger(fill=record)
def test_a_changed_checkpoint_file_is_refused(program: Program, checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes().replace(b'"seq":11', b'"seq":10', 1))
    assert (
        "the checkpoint file was changed"
        in program.run("verify", "--checkpoint", str(checkpoint)).complaint()
    )


@pytest.mark.ledger(fill=record)
def test_a_checkpoint_without_a_digest_file_is_accepted(
    program: Program, engine: Engine, checkpoint: Path
) -> None:
    checkpoint.with_name("heads.ndjson.sha256").unlink()
    checkpoint.write_bytes(checkpoint.read_bytes().replace(b'"seq":11', b'"seq":12', 1))
    result = program.run("verify", "--checkpoint", str(checkpoint))
    assert (result.status, result.out.splitlines()[-1]) == (1, "23 entries in 3 groups: 1 finding")


@pytest.mark.parametrize("line", [b"{}\n", b"nonsense\n", b"\xff\n"])
def test_a_file_that_is_not_a_checkpoint_is_wrong_usage(
    program: Program, tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "heads.ndjson"
    path.write_bytes(line)
    assert "line 1" in program.run("verify", "--checkpoint", str(path)).wrong_usage()


@pytest.mark.parametrize("arguments", [["--checkpoint", "nowhere"], ["--jobs", "0"], ["--fast"]])
def test_wrong_usage(program: Program, arguments: list[str]) -> None:
    assert arguments[0] in program.run("verify", *arguments).wrong_usage()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_several_processes_find_the_same(program: Program, engine: Engine) -> None:
    write(engine, random_ledgers(5, groups=230, entries_each=3, oddity=0.2, trouble=0.2))
    harm(engine, statement("UPDATE entries SET gap_attempts = 99 WHERE kind = 'gap'"))
    one = program.run("verify", "--json", "--jobs", "1")
    assert len(json.loads(one.out)["findings"]) > 1
    two = program.run("verify", "--json", "--jobs", "2")
    assert (one.status, one.err, two.status, two.err) == (1, "", 1, "")
    assert two.out == one.out


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_terminal_shows_progress(program: Program, engine: Engine) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command_line("verify"),
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=program.folder,
        env={**program.environment, "TERM": "xterm-256color", "COLUMNS": "80"},
    )
    os.close(theirs)
    assert "100%" in read_all(ours)
    output, _ = process.communicate(timeout=STOP_SECONDS)
    os.close(ours)
    assert (process.returncode, output.decode()) == (0, INTACT)


@pytest.mark.ledger(fill=record)
def test_hostile_ids_cannot_control_the_terminal(program: Program, engine: Engine) -> None:
    unprotect(engine)
    with writing(engine) as connection:
        entry(5, taskgroup_id="[red]\x1b[2J")(connection)
    out = program.run("verify").out
    assert "\x1b" not in out
    assert "[red]\\x1b[2J" in out


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_waiting_verification(
    program: Program, engine: Engine, number: signal.Signals
) -> None:
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE group_labels IN ACCESS EXCLUSIVE MODE"))
        with program.start("verify") as verifying:
            wait_until(lambda: waiting_sessions(engine) or None, "the verification to wait for the table")
            assert verifying.stop(number) == 1
            assert "stopped: the verification is incomplete" in verifying.printed


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_processes(program: Program, engine: Engine, number: signal.Signals) -> None:
    write(engine, random_ledgers(5, groups=150, entries_each=2, oddity=0, trouble=0))
    with program.start("verify", "--jobs", "2") as verifying:
        verifying.wait_until(lambda: len(verifying.descendants()) >= 2 or None, "its processes to start")
        with verifying.leaving_no_processes():
            # It may have finished by then; what matters is that no process is left.
            assert verifying.stop(number) in {0, 1}
