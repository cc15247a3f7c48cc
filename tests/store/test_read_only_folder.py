"""A SQLite file whose folder the reader may not write to is read as SQLite allows, or refused in words."""

from __future__ import annotations

import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.store.engine import check_url, open_engine
from recorder.store.transactions import writing
from tests.support.postgres import UNPRIVILEGED
from tests.support.store_samples import enrol

# Everything is imported and used once before the user changes, who may not be allowed to read the modules.
READER = """
import os, sys
from sqlalchemy import func, select
from recorder.store.engine import check_url, open_engine
from recorder.store.tables import watches
from recorder.store.transactions import DatabaseUnavailableError, reading

def read(file):
    engine = open_engine(check_url(f"sqlite:///{file}"), read_only=True)
    try:
        with reading(engine) as connection:
            return str(connection.scalar(select(func.count()).select_from(watches)))
    except DatabaseUnavailableError as error:
        return f"refused: {error}"
    finally:
        engine.dispose()

warm_up, file, user, group = sys.argv[1:]
read(warm_up)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
print(read(file))
"""


@pytest.fixture
def file(sqlite_template: Path) -> Iterator[Path]:
    """A database with one group that everybody may read, in a folder that only its owner can change."""
    # The folders of pytest cannot even be entered by others.
    folder = Path(tempfile.mkdtemp(prefix="recorder-read-only-"))
    file = Path(shutil.copy(sqlite_template, folder / "recorder.db"))
    engine = open_engine(check_url(f"sqlite:///{file}"))
    enrol(engine, "tgrp_1")
    engine.dispose()
    file.chmod(0o644)
    folder.chmod(0o555)
    try:
        yield file
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def _read_as_somebody_else(file: Path, warm_up: Path) -> str:
    """Read a database as a user who does not own it; return what it prints."""
    account = pwd.getpwnam(UNPRIVILEGED)
    return subprocess.run(
        [sys.executable, "-c", READER, warm_up, file, str(account.pw_uid), str(account.pw_gid)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    ).stdout.strip()


def test_a_file_in_use_can_be_read(file: Path, sqlite_template: Path) -> None:
    file.parent.chmod(0o755)
    engine = open_engine(check_url(f"sqlite:///{file}"))
    try:
        with writing(engine):
            pass
        file.parent.chmod(0o555)
        assert file.with_name("recorder.db-shm").exists()
        assert _read_as_somebody_else(file, sqlite_template) == "1"
    finally:
        engine.dispose()


def test_a_finished_file_is_refused_with_what_helps(file: Path, sqlite_template: Path) -> None:
    assert list(file.parent.iterdir()) == [file]
    refusal = _read_as_somebody_else(file, sqlite_template)
    assert refusal.startswith(f"refused: {file} cannot be read while no recorder is running: ")
    assert "this user may not write to its folder" in refusal
    assert "run the command as the user of the recorder, or copy the database" in refusal
    assert len(refusal.splitlines()) == 1


def test_a_copy_in_a_folder_of_the_reader_can_be_read(file: Path, sqlite_template: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        assert _read_as_somebody_else(Path(shutil.copy(file, folder)), sqlite_template) == "1"


def test_a_file_that_is_not_readable_at_all_is_refused(file: Path, sqlite_template: Path) -> None:
    file.chmod(0o000)
    assert _read_as_somebody_else(file, sqlite_template) == (
        f"refused: {file} may not be read by this user; run the command as the user of the recorder"
    )
