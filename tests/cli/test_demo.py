"""`recorder demo`: a tour on a temporary database that leaves no process behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.program import STOP_SECONDS, Program, Running, alive, command_line, descendants
from tests.support.terminal import read_all


@pytest.fixture
def stage(bare: Program) -> Program:
    """The program with a folder for temporary files, and settings that the demo must ignore."""
    bare.folder.joinpath("temporary").mkdir()
    return bare.using(
        TMPDIR=str(bare.folder / "temporary"),
        RECORDER_DATABASE_URL="sqlite:///mine.db",
        RECORDER_POLL_INTERVAL="not a number",
        RECORDER_API_PORT="1",
    )


def require_no_database(program: Program) -> None:
    assert list(program.folder.glob("*.db*")) == []


def require_refused(with_demo_database: Program) -> None:
    """The user's key and the groups that the demo made up are not sent to the real provider."""
    elsewhere = with_demo_database.using(
        RECORDER_POLL_INTERVAL="1", RECORDER_API_PORT="8000", PARALLEL_BASE_URL="https://api.parallel.ai"
    )
    for command in (["up"], ["run"], ["run", "--once"]):
        assert "was made by recorder demo" in elsewhere.run(*command).complaint()


def test_without_a_terminal_it_prints_lines_and_a_summary(stage: Program) -> None:
    result = stage.run("demo", "--for", "8")
    assert (result.status, result.err) == (0, "")
    assert "\x1b" not in result.out
    lines = [line for line in result.out.splitlines() if re.match(r"\d\d:\d\d:\d\d  ", line)]
    assert len(lines) >= 3
    assert all("polls" in line and "gaps" in line for line in lines)
    assert "40 groups, " in result.out
    summary = result.out.rpartition("How long the work took:")[2]
    for cohort in ("base", "core", "lite", "pro", "ultra8x"):
        assert re.search(rf"^{cohort} +\d+ of \d+ ", summary, re.MULTILINE)
    assert "are still open, and counted as lasting longer" in summary
    (database,) = re.findall(
        r"RECORDER_DATABASE_URL=sqlite:///(.+) \S*recorder groups$", result.out, re.MULTILINE
    )
    assert re.findall(r"^database +(.+)", result.out, re.MULTILINE) == [database]
    assert Path(database).is_relative_to(stage.folder / "temporary")
    assert Path(database).is_file()
    require_no_database(stage)
    require_refused(stage.using(RECORDER_DATABASE_URL=f"sqlite:///{database}", PARALLEL_API_KEY="mine"))


def test_a_signal_stops_it_and_its_child_processes(stage: Program) -> None:
    with stage.start("demo") as demo:
        demo.wait_for("polls, ")
        children = demo.descendants()
        assert len(children) >= 3
        assert demo.stop(signal.SIGINT) == 0
        assert [pid for pid in children if alive(pid)] == []
        assert "40 groups, " in demo.printed
        assert "How long the work took:" in demo.printed
    require_no_database(stage)


def test_a_signal_during_startup_stops_it(stage: Program) -> None:
    with stage.start("demo") as demo:
        children = demo.wait_until(lambda: demo.descendants() or None, "its child processes to start")
        assert demo.stop(signal.SIGTERM) == 0
        assert [pid for pid in children if alive(pid)] == []


def test_it_exits_if_a_child_process_dies(stage: Program) -> None:
    with stage.start("demo") as demo:
        demo.wait_for("polls, ")
        with demo.leaving_no_processes():
            os.kill(demo.descendant("run"), signal.SIGKILL)
            assert demo.wait() == 1
        (line,) = [line for line in demo.printed.splitlines() if line.startswith("Error: ")]
        assert "the recorder" in line


def test_a_duration_that_is_not_a_number_is_wrong_usage(stage: Program) -> None:
    with stage.start("demo", "--for", "nan") as demo:
        assert demo.wait() == 2
        assert "--for" in demo.printed


def test_in_a_terminal_it_shows_a_table(stage: Program) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command_line("demo", "--for", "3"),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=stage.folder,
        env={**stage.environment, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        start_new_session=True,
    )
    os.close(terminal)
    try:
        shown = read_all(controller)
        assert process.wait(STOP_SECONDS) == 0
    finally:
        left = descendants(process.pid)
        process.kill()
        process.wait()
        Running.kill_all(left)
        os.close(controller)
    assert "Traceback" not in shown
    assert "\x1b[" in shown
    for heading in ("group", "what", "phase", "done", "runs", "seen", "gaps", "Ctrl-C ends"):
        assert heading in shown
    assert "40 groups, " in shown
    require_no_database(stage)
