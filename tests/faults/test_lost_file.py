"""A recorder whose SQLite file is deleted or replaced says so and exits with 1.

How soon, and what else can happen to the file, is in tests/polling/test_lost_files.py.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.oracle import Pace
from tests.faults.stage import Stage, quick_stage
from tests.support.program import Program, wait_until

PACE = Pace(poll_interval=0.2, longest_interval=1.2, gap_window=5, request_timeout=2)


def deleted(file: Path) -> None:
    file.unlink()


def replaced_by_a_backup(file: Path) -> None:
    """What a restore does: a complete copy takes the file's place, and the old WAL goes."""
    backup = file.with_name("backup.db")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    backup.replace(file)
    file.with_name(f"{file.name}-wal").unlink()


def wal_deleted(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


def folder_deleted(file: Path) -> None:
    shutil.rmtree(file.parent)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (deleted, "was deleted or moved away"),
        (folder_deleted, "was deleted or moved away"),
        (replaced_by_a_backup, "was replaced by another file"),
        (wal_deleted, "recorder.db-wal was deleted or moved away"),
    ],
)
def test_it_says_so_and_stops(
    program: Program, tmp_path: Path, trouble: Callable[[Path], None], words: str
) -> None:
    file = tmp_path / "data" / "recorder.db"
    file.parent.mkdir()
    with quick_stage(program, "sqlite", f"sqlite:///{file}", PACE, speed=2) as stage:
        stage.program.ok("db", "upgrade")
        stage.enrol(4, 4)
        with stage.program.start("run") as recorder:
            stage.wait_for_answers(recorder, 2)
            trouble(file)
            assert str(file) in recorder.wait_for(words)
            assert recorder.wait() == 1
        assert "Traceback" not in recorder.printed


def test_what_was_written_before_the_wal_was_deleted_is_kept(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "recorder.db"
    with quick_stage(program, "sqlite", f"sqlite:///{file}", PACE, speed=2) as stage:
        stage.program.ok("db", "upgrade")
        stage.enrol(4, 4)
        stage.engine.dispose()
        with stage.program.start("run") as recorder:
            recorder.wait_for("recording")
            _wait_for_visits(stage, 4 * 3)
            wal_deleted(file)
            assert recorder.wait() == 1
        # Only what was on its way when the WAL went is missing.
        assert max(stage.lost().values()) <= 3
        stage.program.ok("verify")


def _wait_for_visits(stage: Stage, visits: int) -> None:
    wait_until(lambda: sum(map(len, stage.answers().values())) >= visits or None, f"{visits} responses")


def test_a_file_that_was_moved_and_put_back_is_still_the_same(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "recorder.db"
    with quick_stage(program, "sqlite", f"sqlite:///{file}", PACE, speed=2) as stage:
        stage.program.ok("db", "upgrade")
        stage.enrol(4, 4)
        with stage.program.start("run") as recorder:
            stage.wait_for_answers(recorder, 2)
            elsewhere = file.with_name("elsewhere.db")
            file.rename(elsewhere)
            elsewhere.rename(file)
            stage.wait_for_answers(recorder, 6)
            assert recorder.stop() == 0
        assert set(stage.lost().values()) == {0}
