"""When the database becomes unavailable, in any way, recording logs it once, waits and resumes."""

from __future__ import annotations

import os
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg

from recorder.ledger.entries import Kind
from tests.faults.ledgers import read_ledgers
from tests.faults.oracle import ON_THE_WAY, Pace
from tests.faults.stage import Stage, play, quick_stage
from tests.support.breakable_postgres import Server, own_server, small_disk
from tests.support.program import Program, Running, alive

GROUPS, RUNS = 16, 8
CUTS = 20
PACE = Pace(poll_interval=0.3, longest_interval=0.9, gap_window=1.0, request_timeout=3.0)
LONG = (PACE.due(99)[1] + PACE.window + ON_THE_WAY).total_seconds()
"""A database outage of this many seconds leaves a gap in every ledger."""
NO_ROOM = """
    CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END $$"""
NO_ROOM_IN = "CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON {} EXECUTE FUNCTION no_room()"
NEEDS_ROOM = "CREATE TABLE more AS SELECT repeat('x', 8000) FROM generate_series(1, 3000)"
MOST_GROWTH = 12 * 2**20
"""In bytes. An outage of some seconds fills caches, but nothing may collect while it lasts."""
AWAY, BACK = "database unavailable", "database is back"


def through(stage: Stage, *troubles: Callable[[Running], None]) -> None:
    """Put one recorder through a series of outages; no response may be lost, and no memory kept."""
    stage.program.ok("db", "upgrade")
    with stage.program.start("run") as recorder:
        recorder.wait_for("recording")
        stage.enrol(GROUPS, RUNS)
        stage.wait_for_answers(recorder, 2)
        before = resident_bytes(recorder)
        for trouble in troubles:
            trouble(recorder)
            stage.wait_for_answers(recorder, 2)
        grown = resident_bytes(recorder) - before
        assert grown < MOST_GROWTH, f"{grown / 2**20:.0f} MiB more than before the outages"
        assert recorder.stop() == 0
        assert "unwritten" not in recorder.printed
    assert set(stage.lost().values()) == {0}


@contextmanager
def said_once(recorder: Running) -> Iterator[None]:
    """Require one line in the log for the outage in the block and one for the recovery."""
    before = count(recorder)
    yield
    recorder.wait_until(lambda: count(recorder)[1] > before[1] or None, "the database to be back")
    assert count(recorder) == (before[0] + 1, before[1] + 1)


def count(recorder: Running) -> tuple[int, int]:
    """The number of log lines about the database being unavailable, and about it being back."""
    return recorder.printed.count(AWAY), recorder.printed.count(BACK)


def resident_bytes(recorder: Running) -> int:
    """The memory that the recorder's process occupies."""
    pages = Path(f"/proc/{recorder.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def stay_away(recorder: Running) -> None:
    """Wait until the recorder has noticed the outage, then long enough to leave gaps."""
    recorder.wait_until(lambda: len(set(count(recorder))) == 2 or None, "the recorder to notice")
    # The outage itself.
    time.sleep(LONG)


def locked(file: Path, recorder: Running) -> None:
    """Another writer holds the file's lock for longer than the recorder waits for it."""
    with said_once(recorder), closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        stay_away(recorder)
        writer.execute("ROLLBACK")


def full(recorder: Running) -> None:
    """The recorder's files cannot grow any more, as on a full disk."""
    unlimited = resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE)
    with said_once(recorder):
        resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, (16_384, unlimited[1]))
        stay_away(recorder)
        resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, unlimited)


def cut(server: Server, recorder: Running) -> None:
    """Connections are terminated repeatedly; each time a write may fail and be retried."""
    before = count(recorder)
    mine = "datname = current_database() AND pid <> pg_backend_pid()"
    cuts = 0

    def cut_some() -> bool | None:
        nonlocal cuts
        rows = server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
        cuts += len(rows)
        return cuts >= CUTS or None

    recorder.wait_until(cut_some, "connections to be terminated")
    recorder.wait_until(lambda: len(set(count(recorder))) == 1 or None, "the database to be back")
    assert count(recorder)[0] - before[0] <= cuts


def refusing(server: Server, recorder: Running) -> None:
    """The server rejects writes, as if it had become a replica."""
    with said_once(recorder):
        server.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        stay_away(recorder)
        server.execute("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


def crashed(server: Server, recorder: Running) -> None:
    with said_once(recorder):
        server.crash()
        stay_away(recorder)
        server.start()


def disk_full(server: Server, disk: Path, recorder: Running) -> None:
    """The server's disk is full: it gives errors, and stops when it needs a new file for its WAL.

    Until then a write finds room now and then.
    """
    filler = disk / "filler"

    def gave_up() -> bool | None:
        with suppress(psycopg.Error):
            server.execute(NEEDS_ROOM, "SELECT pg_switch_wal()", "CHECKPOINT")
        return len(set(count(recorder))) == 2 or None

    with said_once(recorder):
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**16))
        assert os.statvfs(disk).f_bavail == 0
        recorder.wait_until(gave_up, "the recorder to notice")
        stay_away(recorder)
        filler.unlink()
        if not alive(server.pid):
            server.start()


def no_room(server: Server, recorder: Running) -> None:
    """The server has no room for rows: a trigger raises the error that it then gives."""
    with said_once(recorder):
        server.execute(NO_ROOM, *(NO_ROOM_IN.format(table) for table in ("watches", "recorders")))
        stay_away(recorder)
        server.execute("DROP FUNCTION no_room CASCADE")


def fewest_gaps(stage: Stage) -> int:
    """The lowest number of gaps in any ledger, which should equal the number of long outages."""
    ledgers = read_ledgers(stage.engine).values()
    return min(sum(entry.kind is Kind.GAP for entry in ledger.entries) for ledger in ledgers)


def on_sqlite(program: Program) -> None:
    file = program.folder / "recorder.db"
    with quick_stage(program, "sqlite", f"sqlite:///{file}", PACE, speed=2) as on:
        through(on, partial(locked, file), full)
        assert fewest_gaps(on) >= 2


def on_postgresql(program: Program) -> None:
    with (
        small_disk() as disk,
        own_server(disk) as server,
        quick_stage(program, "postgresql", server.url, PACE, speed=2) as on,
    ):
        through(
            on,
            partial(cut, server),
            partial(refusing, server),
            # An ordinary container may not mount anything.
            partial(no_room, server) if disk is None else partial(disk_full, server, disk),
            partial(crashed, server),
        )
        # On a full disk some results still find room.
        assert fewest_gaps(on) >= (3 if disk is None else 2)


def test_recording_resumes_after_database_outages(program: Program) -> None:
    play(partial(on_sqlite, program), partial(on_postgresql, program))
