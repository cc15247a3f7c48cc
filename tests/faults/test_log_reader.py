"""A log that nobody reads, or that cannot be written, stops neither the recording nor its end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.oracle import Pace
from tests.faults.stage import Stage, quick_stage
from tests.support.program import Program, Running, command_line

PACE = Pace(poll_interval=0.2, longest_interval=1.2, gap_window=5, request_timeout=2)


def test_a_reader_that_hangs(program: Program, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while os.write(writing, bytes(4096)):
            pass
    except BlockingIOError:
        os.set_blocking(writing, True)
    try:
        _records_with_log(program, tmp_path, writing)
        assert not os.read(reading, 1 << 20).strip(b"\0")
    finally:
        os.close(reading)
        os.close(writing)


def test_a_reader_that_ended(program: Program, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        _records_with_log(program, tmp_path, writing)
    finally:
        os.close(writing)


def test_a_full_disk(program: Program, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        _records_with_log(program, tmp_path, full.fileno())


def _records_with_log(program: Program, tmp_path: Path, log: int) -> None:
    """Record through an outage, which is logged, and stop the recorder."""
    file = tmp_path / "recorder.db"
    with quick_stage(program, "sqlite", f"sqlite:///{file}", PACE, speed=2) as stage:
        stage.program.ok("db", "upgrade")
        stage.enrol(4, 4)
        with _started(stage.program, log) as recorder:
            stage.wait_for_answers(recorder, 3)
            recorder.process.send_signal(signal.SIGTERM)
            assert recorder.wait() == 0
        assert set(stage.lost().values()) == {0}
        _ends_with_an_error(stage, log)


def _ends_with_an_error(stage: Stage, log: int) -> None:
    """A command that fails while its message cannot be written ends all the same."""
    missing = stage.program.using(RECORDER_DATABASE_URL=f"sqlite:///{stage.program.folder}/missing.db")
    with _started(missing, log) as recorder:
        assert recorder.wait() == 1


@contextmanager
def _started(program: Program, log: int) -> Iterator[Running]:
    process = subprocess.Popen(
        command_line("run"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        cwd=program.folder,
        env=program.environment,
        start_new_session=True,
    )
    running = Running(process, Path(os.devnull))
    try:
        yield running
    finally:
        running.kill()
