"""A thousand groups enrolled at once beside a running recorder are all recorded, each response once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from recorder.ledger.entries import Kind
from recorder.store.tables import watches
from tests.faults.ledgers import read_ledgers
from tests.faults.oracle import Pace
from tests.faults.stage import Stage, quick_stage
from tests.support.program import Program

GROUPS = 1000
PACE = Pace(poll_interval=3, longest_interval=18, gap_window=30, request_timeout=10)


def test_they_are_all_recorded(program: Program, tmp_path: Path) -> None:
    """On SQLite, where the command that enrols them and the recorder wait for each other."""
    with quick_stage(program, "sqlite", f"sqlite:///{tmp_path / 'recorder.db'}", PACE, speed=4) as stage:
        stage.program.ok("db", "upgrade")
        stage.enrol(4, 4)
        with stage.program.start("run") as recorder:
            stage.wait_for_answers(recorder, 1)
            ids = [stage.upstream.create() for _ in range(GROUPS)]
            stage.program.ok("watch", "--from-file", "-", text="\n".join(ids))
            recorder.wait_until(partial(all_seen, stage), "every group to be seen")
            assert recorder.stop() == 0
        assert set(stage.lost().values()) == {0}
        ledgers = read_ledgers(stage.engine)
        assert set(ids) <= ledgers.keys()
        assert not any(entry.kind is Kind.GAP for ledger in ledgers.values() for entry in ledger.entries)
        stage.program.ok("verify")


def all_seen(stage: Stage) -> bool | None:
    unseen = select(func.count()).select_from(watches).where(watches.c.last_seen_at.is_(None))
    with stage.engine.connect() as connection:
        return connection.scalar(unseen) == 0 or None
