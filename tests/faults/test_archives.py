"""Archiving and restoring that is killed, or loses its database or its disk, at random moments loses nothing.

After each trouble every group has either all of its entries, or a tombstone and the whole file that it names;
the same command completes the work.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg
from sqlalchemy import Engine, text

from recorder.audit.file_sums import sum_of_file, sum_path
from recorder.polling.archive_job import TURN, ArchiveJob
from recorder.store.engine import check_url, open_engine
from recorder.store.transactions import reading, writing
from tests.faults.stage import play
from tests.support.archives import file_findings, tombstone_rows
from tests.support.audit_ledgers import random_ledgers, write
from tests.support.breakable_postgres import small_disk
from tests.support.program import Program, Result, Running, wait_until
from tests.support.tampering import findings

SEED = int(os.environ.get("FAULTS_SEED", "20261128"))
GROUPS, LENGTH = 15, 4
NOW = datetime(2030, 1, 1, tzinfo=UTC)
BEFORE = ("--before", "2030-01-01T00:00:00Z")
JOB = """
import sys
from pathlib import Path
from recorder.audit.archive import archiver
from recorder.store.engine import check_url, open_engine
from tests.faults.test_archives import run_job
# In several transactions.
archiver._MOST_GROUPS = 2
print("begins", flush=True)
run_job(open_engine(check_url(sys.argv[1])), Path(sys.argv[2]))
"""
OWN = "datname = current_database() AND pid <> pg_backend_pid()"


@dataclass(slots=True)
class Store:
    """A database of groups that can be archived, and the folder of their archives. `lasts` is how long a
    command takes that is left alone."""

    program: Program
    engine: Engine
    chance: random.Random
    lasts: float = 0.0
    files: int = 0

    @property
    def folder(self) -> Path:
        return self.program.folder

    def archive(self) -> tuple[str, ...]:
        """Return the command that archives everything into another file."""
        self.files += 1
        return "archive", *BEFORE, "--out", f"{self.files}.ndjson.zst"

    def run(self, *command: str) -> Result:
        result = self.program.run(*command)
        self.check()
        return result

    def disturb(self, trouble: Callable[[Running], None], *command: str) -> None:
        """Run a command, with trouble at a random moment of it."""
        with self.program.start(*command) as running:
            # Not synchronisation: the trouble must come at a random time.
            time.sleep(self.chance.uniform(0, self.lasts))
            trouble(running)
        self.settle()
        self.check()

    def settle(self) -> None:
        """Wait until the server has ended what a dead client asked it for."""
        if self.engine.dialect.name == "postgresql":
            wait_until(self._is_quiet, "the server to end what a dead client asked for")

    def _is_quiet(self) -> bool | None:
        busy = text(f"SELECT count(*) FROM pg_stat_activity WHERE {OWN} AND state <> 'idle'")
        with reading(self.engine) as connection:
            return connection.scalar(busy) == 0 or None

    def check(self) -> None:
        """Check that nothing is lost."""
        assert findings(self.engine) == []
        with reading(self.engine) as connection:
            standing = set(connection.scalars(text("SELECT DISTINCT taskgroup_id FROM entries")))
        archived = {row["taskgroup_id"]: row["archive_sha256"] for row in tombstone_rows(self.engine)}
        assert len(standing) + len(archived) == GROUPS and not standing & archived.keys()
        sums = {sum_of_file(file): file for file in self.folder.glob("*.zst")}
        for digest in set(archived.values()):
            assert file_findings(self.engine, sums[digest]) == []
            assert sum_path(sums[digest]).read_text() == f"{digest}  {sums[digest].name}\n"

    def archived(self) -> int:
        return len(tombstone_rows(self.engine))

    def needed(self) -> list[str]:
        """Return the names of the files that tombstones name; of files that are equal, one."""
        names = {sum_of_file(file): file.name for file in self.folder.glob("*.zst")}
        return sorted({names[row["archive_sha256"]] for row in tombstone_rows(self.engine)})

    def restore_all(self) -> None:
        for name in self.needed():
            self.program.ok("import", "--restore", name)
        assert self.archived() == 0


def killed(running: Running) -> None:
    running.kill()


def cut(url: str, running: Running) -> None:
    """The server ends the connections of a command."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OWN}".encode())
    assert running.wait(60) in {0, 1}


def locked(url: str, running: Running) -> None:
    """Somebody else keeps the lock of a SQLite file for longer than a command waits."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=60)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert running.wait(60) in {0, 1}


@contextmanager
def filled(program: Program, kind: str, url: str) -> Iterator[Store]:
    folder = program.folder / kind
    folder.mkdir()
    program = replace(program, folder=folder).using(RECORDER_DATABASE_URL=url)
    engine = open_engine(check_url(url))
    ledgers = list(random_ledgers(1, GROUPS, LENGTH, oddity=0, trouble=0))
    for ledger in ledgers:
        ledger.stop()
    write(engine, ledgers)
    try:
        yield Store(program, engine, random.Random(f"{SEED}-{kind}"))
    finally:
        engine.dispose()


def story(program: Program, kind: str, url: str) -> None:
    away = partial(cut if kind == "postgresql" else locked, url)
    with filled(program, kind, url) as store:
        export = store.program.ok("export")
        begun = time.monotonic()
        assert store.run(*store.archive()).status == 0
        store.lasts = time.monotonic() - begun
        for trouble in (killed, away):
            store.disturb(trouble, "import", "--restore", store.needed()[-1])
            store.restore_all()
            store.disturb(trouble, *store.archive())
            assert store.run(*store.archive()).status == 0
            assert store.archived() == GROUPS
        store.restore_all()
        by_itself(store, url)
        store.restore_all()
        assert store.program.ok("export") == export
        # An archive that was killed at its first byte may still be taken for one that begins.
        left = {
            file.suffix for file in store.folder.iterdir() if file.suffix != ".part" or file.stat().st_size
        }
        assert left <= {".zst", ".sha256", ".output"}, left


def by_itself(store: Store, url: str) -> None:
    """A recorder's own archive is killed once it has begun, and another recorder completes that."""
    words = [sys.executable, "-c", JOB, url, str(store.folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None and process.stdout.readline() == b"begins\n"
        # Not synchronisation: the kill must come at a random time.
        time.sleep(store.chance.uniform(0, store.lasts))
        process.kill()
    store.settle()
    store.check()
    with writing(store.engine) as connection:
        # The dead recorder would otherwise keep its turn for some minutes.
        connection.execute(text("UPDATE archive_turns SET free_at = NULL"))
    # The file of the dead recorder, if it was completed, has the name of its time.
    run_job(store.engine, store.folder, NOW + TURN)
    store.check()
    assert store.archived() == GROUPS


def run_job(engine: Engine, folder: Path, now: datetime = NOW) -> None:
    job = ArchiveJob(engine, folder, timedelta(seconds=1), lambda: now, "another")
    try:
        asyncio.run(job.run())
    finally:
        job.close()


def test_nothing_is_lost(program: Program, databases: dict[str, str]) -> None:
    play(*(partial(story, program, kind, url) for kind, url in databases.items()))


def test_a_disk_that_fills_up(program: Program, databases: dict[str, str]) -> None:
    with small_disk(1) as disk, filled(program, "sqlite", databases["sqlite"]) as store:
        if disk is None:
            # An ordinary container may not mount anything.
            return
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - 8192)
        complaint = store.run("archive", *BEFORE, "--out", str(disk / "old.ndjson")).complaint()
        assert complaint.endswith("old.ndjson: No space left on device")
        assert list(disk.iterdir()) == [filler] and store.archived() == 0
        filler.unlink()
        assert store.program.run("archive", *BEFORE, "--out", str(disk / "old.ndjson.zst")).status == 0
        assert store.archived() == GROUPS
