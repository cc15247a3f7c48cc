"""`recorder export` with files, pipes, terminals and signals, and the progress bar of `recorder import`."""

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

SQLITE = ["sqlite"]
SIGNALS = [signal.SIGINT, signal.SIGTERM]


def temporary_files(program: Program) -> list[Path]:
    return list(program.folder.glob(".*"))


@pytest.mark.ledger(fill=record)
def test_everything_goes_to_stdout_by_default(program: Program, engine: Engine) -> None:
    out = program.ok("export")
    assert out.encode() == exported(engine)
    assert program.ok("export", "--out", "-") == out
    assert list(verified(program.ok("export", "one", ODD, "one").encode())) == [ODD, "one"]


@pytest.mark.ledger(fill=record)
def test_a_file_gets_its_name_once_it_is_complete(program: Program, engine: Engine) -> None:
    assert program.ok("export", "--out", "ä.ndjson") == "12 entries in 4 groups exported to ä.ndjson\n"
    path = program.folder / "ä.ndjson"
    assert path.read_bytes() == exported(engine)
    assert program.ok("export", "never", "--out", "ä.ndjson") == "1 entry in 1 group exported to ä.ndjson\n"
    assert path.read_bytes() == exported(engine, ["never"])
    assert temporary_files(program) == []


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_a_file_follows_the_umask_and_symbolic_links(program: Program, engine: Engine) -> None:
    """A special file is written to and not replaced."""
    program.folder.joinpath("real").write_text("old")
    program.folder.joinpath("link").symlink_to("real")
    program.ok("export", "--out", "link")
    assert program.folder.joinpath("link").is_symlink()
    assert program.folder.joinpath("real").read_bytes() == exported(engine)
    program.folder.joinpath("other").write_text("")
    program.ok("export", "--out", "created")
    modes = [program.folder.joinpath(name).stat().st_mode for name in ("other", "created")]
    assert modes[0] == modes[1]
    program.ok("export", "--out", "/dev/null")
    assert Path("/dev/null").is_char_device()


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
@pytest.mark.parametrize("out", [[], ["--out", "file"]])
def test_an_unknown_group_is_reported_before_anything_is_written(
    program: Program, engine: Engine, out: list[str]
) -> None:
    assert program.run("export", "one", "nobody", *out).complaint() == "Error: nobody: was never watched"
    result = program.run("export", "nobody", "a/b", "two\nlines", "one", *out)
    assert (result.status, result.out, len(result.complaints)) == (1, "", 3)
    assert not program.folder.joinpath("file").exists()


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_a_damaged_ledger_leaves_no_file(program: Program, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE watches SET head_seq = 9 WHERE taskgroup_id = 'one'"))
    program.folder.joinpath("file").write_text("old")
    assert "one: its ledger does not end" in program.run("export", "--out", "file").complaint()
    assert program.folder.joinpath("file").read_text() == "old"
    assert temporary_files(program) == []


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_an_impossible_path_is_reported_in_one_line(program: Program) -> None:
    assert "no/such/folder/file" in program.run("export", "--out", "no/such/folder/file").complaint()
    assert "--out" in program.run("export", "--out", ".").wrong_usage()
    assert "no-such-file" in program.run("import", "no-such-file").wrong_usage()
    assert "FILE" in program.run("import").wrong_usage()


def test_without_a_database_nothing_is_exported(bare: Program) -> None:
    assert "recorder db upgrade" in bare.run("export", "--out", "file").complaint()
    assert list(bare.folder.iterdir()) == []


@pytest.fixture
def large(engine: Engine) -> Engine:
    """A ledger larger than a pipe's buffer."""
    recording = Recording(engine)
    recording.watch("large")
    for number in range(1, 5):
        recording.see("large", 10 * number, active(running=number), metadata={"x": "x" * 200_000})
    return engine


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_a_closed_pipe_is_not_reported(program: Program, large: Engine) -> None:
    with start_process(program, "export", stdout=subprocess.PIPE) as export:
        assert export.stdout is not None and export.stderr is not None
        assert export.stdout.readline().startswith(b'{"record":')
        export.stdout.close()
        assert export.wait(STOP_SECONDS) == 1
        assert export.stderr.read() == b""


@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_an_export_whose_reader_has_stalled(
    program: Program, large: Engine, number: signal.Signals
) -> None:
    with start_process(program, "export", stdout=subprocess.PIPE) as export:
        assert export.stdout is not None and export.stderr is not None
        assert export.stdout.read(1) == b"{"
        export.send_signal(number)
        assert export.wait(STOP_SECONDS) == 1
        assert export.stderr.read() == b"Error: stopped: the export is incomplete\n"


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("command", "number"), list(zip(["export", "checkpoint"], SIGNALS, strict=True)))
def test_a_signal_leaves_an_existing_file_unchanged(
    program: Program, engine: Engine, command: str, number: signal.Signals
) -> None:
    program.folder.joinpath("file").write_text("old")
    with program.start(command, "--out", "file") as running, engine.begin() as connection:
        connection.execute(text("LOCK TABLE watches IN ACCESS EXCLUSIVE MODE"))
        running.wait_until(lambda: waiting_sessions(engine) or None, "it to wait for the table")
        assert running.stop(number) == 1
        assert "stopped: the " in running.printed
    assert program.folder.joinpath("file").read_text() == "old"
    assert temporary_files(program) == []


def start_process(program: Program, *arguments: str, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command_line(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=program.folder,
        env=program.environment,
    )


def in_terminal(program: Program, *arguments: str) -> tuple[int, str, str]:
    """Run a command with standard error on a terminal; return its status, output and progress."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command_line(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
        cwd=program.folder,
        env={**program.environment, "TERM": "xterm-256color", "COLUMNS": "80"},
    )
    os.close(terminal)
    shown = read_all(controller)
    out, _ = process.communicate(timeout=STOP_SECONDS)
    os.close(controller)
    return process.returncode, require_clean(out.decode()), require_clean(shown)


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_progress_is_shown_in_a_terminal(program: Program, engine: Engine) -> None:
    status, out, shown = in_terminal(program, "export")
    assert (status, out.encode()) == (0, exported(engine))
    assert "exporting" in shown and "100%" in shown
    program.folder.joinpath("file").write_text(out)
    assert "reading heads" in in_terminal(program, "checkpoint")[2]
    other = program.using(RECORDER_DATABASE_URL="sqlite:///other.db")
    status, out, shown = in_terminal(other, "import", "file")
    assert (status, out) == (0, f"12 entries in 4 groups imported into sqlite:///{program.folder}/other.db\n")
    assert "importing" in shown and "100%" in shown
