"""`recorder export`: files, pipes, terminals and signals around it, and around `recorder import` too."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.support.exports import ODD, exported, record, verified
from tests.support.postgres import waiting_sessions
from tests.support.program import STOP_SECONDS, Program, command_line, require_clean
from tests.support.recording import Recording, active
from tests.support.terminal import read_all

ONE = ["sqlite"]
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    record(engine)
    return engine


def parts(program: Program) -> list[Path]:
    return list(program.folder.glob(".*"))


def test_all_goes_to_output_unless_told(program: Program, recorded: Engine) -> None:
    out = program.ok("export")
    assert out.encode() == exported(recorded)
    assert program.ok("export", "--out", "-") == out
    assert list(verified(program.ok("export", "one", ODD, "one").encode())) == [ODD, "one"]


def test_a_file_has_its_name_once_it_is_whole(program: Program, recorded: Engine) -> None:
    assert program.ok("export", "--out", "ä.ndjson") == "12 entries in 4 groups exported to ä.ndjson\n"
    path = program.folder / "ä.ndjson"
    assert path.read_bytes() == exported(recorded)
    assert program.ok("export", "never", "--out", "ä.ndjson") == "1 entry in 1 group exported to ä.ndjson\n"
    assert path.read_bytes() == exported(recorded, ["never"])
    assert parts(program) == []


@pytest.mark.parametrize("database_url", ONE, indirect=True)
def test_a_file_is_made_as_others_are(program: Program, recorded: Engine) -> None:
    """By the umask, and through a link; what is no file is written to and stays what it is."""
    program.folder.joinpath("real").write_text("old")
    program.folder.joinpath("link").symlink_to("real")
    program.ok("export", "--out", "link")
    assert program.folder.joinpath("link").is_symlink()
    assert program.folder.joinpath("real").read_bytes() == exported(recorded)
    program.folder.joinpath("new").write_text("")
    program.ok("export", "--out", "made")
    modes = [program.folder.joinpath(name).stat().st_mode for name in ("new", "made")]
    assert modes[0] == modes[1]
    program.ok("export", "--out", "/dev/null")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("database_url", ONE, indirect=True)
@pytest.mark.parametrize("out", [[], ["--out", "file"]])
def test_an_unknown_group_is_said_before_anything_is_written(
    program: Program, recorded: Engine, out: list[str]
) -> None:
    assert program.run("export", "one", "nobody", *out).complaint() == "Error: nobody: was never watched"
    result = program.run("export", "nobody", "a/b", "two\nlines", "one", *out)
    assert (result.status, result.out, len(result.complaints)) == (1, "", 3)
    assert not program.folder.joinpath("file").exists()


@pytest.mark.parametrize("database_url", ONE, indirect=True)
def test_a_damaged_ledger_leaves_no_file(program: Program, recorded: Engine) -> None:
    with recorded.begin() as connection:
        connection.execute(text("UPDATE watches SET head_seq = 9 WHERE taskgroup_id = 'one'"))
    program.folder.joinpath("file").write_text("old")
    assert "one: its ledger does not end" in program.run("export", "--out", "file").complaint()
    assert program.folder.joinpath("file").read_text() == "old"
    assert parts(program) == []


@pytest.mark.parametrize("database_url", ONE, indirect=True)
def test_a_place_where_no_file_can_be_is_one_line(program: Program) -> None:
    assert "no/such/folder/file" in program.run("export", "--out", "no/such/folder/file").complaint()
    assert "--out" in program.run("export", "--out", ".").wrong_usage()
    assert "no-such-file" in program.run("import", "no-such-file").wrong_usage()
    assert "FILE" in program.run("import").wrong_usage()


def test_without_a_database_nothing_is_exported(bare: Program) -> None:
    assert "recorder db upgrade" in bare.run("export", "--out", "file").complaint()
    assert list(bare.folder.iterdir()) == []


@pytest.fixture
def large(engine: Engine) -> Engine:
    """More than a pipe holds."""
    recording = Recording(engine)
    recording.watch("large")
    for number in range(1, 5):
        recording.see("large", 10 * number, active(running=number), metadata={"x": "x" * 200_000})
    return engine


@pytest.mark.parametrize("database_url", ONE, indirect=True)
def test_a_reader_that_goes_away_is_no_error(program: Program, large: Engine) -> None:
    with started(program, "export", stdout=subprocess.PIPE) as export:
        assert export.stdout is not None and export.stderr is not None
        assert export.stdout.readline().startswith(b'{"record":')
        export.stdout.close()
        assert export.wait(STOP_SECONDS) == 1
        assert export.stderr.read() == b""


@pytest.mark.parametrize("database_url", ONE, indirect=True)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_an_export_that_nobody_reads_on(
    program: Program, large: Engine, number: signal.Signals
) -> None:
    with started(program, "export", stdout=subprocess.PIPE) as export:
        assert export.stdout is not None and export.stderr is not None
        assert export.stdout.read(1) == b"{"
        export.send_signal(number)
        assert export.wait(STOP_SECONDS) == 1
        assert export.stderr.read() == b"Error: stopped: the export is incomplete\n"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("command", "number"), list(zip(["export", "checkpoint"], SIGNALS, strict=True)))
def test_a_signal_leaves_a_file_as_it_was(
    program: Program, recorded: Engine, command: str, number: signal.Signals
) -> None:
    program.folder.joinpath("file").write_text("old")
    with program.start(command, "--out", "file") as running, recorded.begin() as connection:
        connection.execute(text("LOCK TABLE watches IN ACCESS EXCLUSIVE MODE"))
        running.wait_until(lambda: waiting_sessions(recorded) or None, "it to wait for the table")
        assert running.stop(number) == 1
        assert "stopped: the " in running.printed
    assert program.folder.joinpath("file").read_text() == "old"
    assert parts(program) == []


def started(program: Program, *arguments: str, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command_line(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=program.folder,
        env=program.environment,
    )


def in_terminal(program: Program, *arguments: str) -> tuple[int, str, str]:
    """Run a command whose standard error is a terminal; return its status, output and what was shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command_line(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=program.folder,
        env={**program.environment, "TERM": "xterm-256color", "COLUMNS": "80"},
    )
    os.close(theirs)
    shown = read_all(ours)
    out, _ = process.communicate(timeout=STOP_SECONDS)
    os.close(ours)
    return process.returncode, require_clean(out.decode()), require_clean(shown)


@pytest.mark.parametrize("database_url", ONE, indirect=True)
def test_in_a_terminal_they_show_how_far_they_are(program: Program, recorded: Engine) -> None:
    status, out, shown = in_terminal(program, "export")
    assert (status, out.encode()) == (0, exported(recorded))
    assert "exporting" in shown and "100%" in shown
    program.folder.joinpath("file").write_text(out)
    other = program.using(RECORDER_DATABASE_URL="sqlite:///other.db")
    status, out, shown = in_terminal(other, "import", "file")
    assert (status, out) == (0, "12 entries in 4 groups imported into sqlite:///other.db\n")
    assert "importing" in shown and "100%" in shown
