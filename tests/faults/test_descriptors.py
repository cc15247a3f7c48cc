"""A recorder short of file descriptors polls fewer groups at once, says why, and loses none."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.ledger.entries import Gap
from tests.faults.ledgers import read_ledgers
from tests.faults.oracle import Pace
from tests.faults.stage import Stage, slow_stage
from tests.support.program import Program, Running, command_line

PACE = Pace(poll_interval=1.2, longest_interval=7.2, gap_window=6, request_timeout=4)
GROUPS = 30
SCARCE = "no file descriptor is left"


def test_the_limit_at_the_start(program: Program, tmp_path: Path) -> None:
    with _enrolled(program, tmp_path) as stage, _limited(stage.program, 40) as recorder:
        assert "concurrency=16" in recorder.wait_for("fewer requests at once")
        stage.wait_for_answers(recorder, 2)
        assert recorder.stop() == 0
        assert "errors=0" in recorder.wait_for("ended")
        assert "put_off=0" in recorder.wait_for("ended")
        assert set(stage.lost().values()) == {0}


def test_a_limit_below_what_is_needed_at_all(program: Program, tmp_path: Path) -> None:
    with _enrolled(program, tmp_path) as stage, _limited(stage.program, 24) as recorder:
        assert recorder.wait() == 1
        (line,) = recorder.printed.splitlines()
        assert "allow at least 25" in line


def test_descriptors_that_run_out(program: Program, tmp_path: Path) -> None:
    with _enrolled(program, tmp_path) as stage, stage.program.start("run") as recorder:
        recorder.wait_for("recording")
        before = resource.prlimit(recorder.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(recorder.process.pid, resource.RLIMIT_NOFILE, (18, before[1]))
        recorder.wait_for(SCARCE)
        stage.wait_for_answers(recorder, 1)
        resource.prlimit(recorder.process.pid, resource.RLIMIT_NOFILE, before)
        recorder.wait_for("file descriptors suffice again")
        stage.wait_for_answers(recorder, 2)
        assert recorder.stop() == 0
        assert recorder.printed.count(SCARCE) == 1
        assert "errors=0" in recorder.wait_for("ended")
        assert " failures=0 " in recorder.wait_for("ended")
        assert set(stage.lost().values()) == {0}
        contents = (
            entry.content for ledger in read_ledgers(stage.engine).values() for entry in ledger.entries
        )
        assert {gap.cause for gap in contents if isinstance(gap, Gap)} <= {"not_polled"}


@contextmanager
def _enrolled(program: Program, tmp_path: Path) -> Iterator[Stage]:
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with slow_stage(program, "sqlite", url, PACE, lambda _: 0.3) as (stage, _):
        stage.program.ok("db", "upgrade")
        stage.enrol(GROUPS, 2)
        yield stage


@contextmanager
def _limited(program: Program, descriptors: int) -> Iterator[Running]:
    """Start the recorder with a limit of its file descriptors."""
    output = program.folder / "limited.output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command_line("run")],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=program.folder,
            env=program.environment,
            start_new_session=True,
        )
    running = Running(process, output)
    try:
        yield running
    finally:
        running.kill()
