"""Several processes upgrade one database at once: one migrates, and the others wait for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from recorder.store.engine import check_url, open_engine
from recorder.store.schema import state_of
from recorder.store.transactions import migrating
from tests.support.program import Program, command_line, require_clean, wait_until

ALEMBIC = [str(Path(sys.executable).with_name("alembic")), "upgrade", "head"]
COMMANDS = [command_line("db", "upgrade")] * 3 + [ALEMBIC]
CLONE = Path(__file__).parents[2]
WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE NOT granted AND locktype = 'advisory' AND datname = current_database()
    AND clock_timestamp() > waitstart + interval '150 ms'"""


@contextmanager
def upgrades(url: str, folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Start all upgrades; when the block ends, all of them must have succeeded."""
    program = Program(folder, settings={"RECORDER_DATABASE_URL": url})
    started = [
        subprocess.Popen(
            command,
            cwd=CLONE if command is ALEMBIC else folder,
            env=program.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in COMMANDS
    ]
    with ExitStack() as stack:
        for process in started:
            stack.callback(process.kill)
        yield started
        printed = [require_clean(process.communicate(timeout=60)[0]) for process in started]
        assert [process.returncode for process in started] == [0] * len(COMMANDS), printed


def test_one_migrates_and_the_others_wait(
    blank_engine: Engine, blank_database_url: str, tmp_path: Path
) -> None:
    with upgrades(blank_database_url, tmp_path):
        pass
    assert state_of(blank_engine).at_head


@pytest.mark.parametrize("blank_database_url", ["postgresql"], indirect=True)
def test_they_wait_longer_than_for_other_locks(
    blank_engine: Engine, blank_database_url: str, tmp_path: Path
) -> None:
    url = f"{blank_database_url}?options=-c%20lock_timeout%3D100ms"
    with ExitStack() as stack:
        connection = stack.enter_context(migrating(blank_engine))
        with upgrades(url, tmp_path) as started:

            def all_wait() -> bool | None:
                assert all(process.poll() is None for process in started)
                return connection.scalar(text(WAITING)) == len(COMMANDS) or None

            wait_until(all_wait, "all to wait")
            stack.close()
    assert state_of(blank_engine).at_head


def test_a_writer_waits_for_a_limited_time_again(blank_engine: Engine, blank_database_url: str) -> None:
    engine = open_engine(check_url(blank_database_url))
    with migrating(engine):
        pass
    with engine.connect() as connection:
        asked = "PRAGMA busy_timeout" if engine.dialect.name == "sqlite" else "SHOW lock_timeout"
        assert connection.exec_driver_sql(asked).scalar() in {5000, "5s"}
    engine.dispose()
