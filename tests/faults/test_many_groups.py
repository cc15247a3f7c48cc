"""A thousand groups enrolled at once beside a running recorder are all recorded, each response once."""

from __future__ import annotations

from functools import partial

from sqlalchemy import func, select

from recorder.ledger.entries import Kind
from recorder.store.tables import watches
from tests.faults.ledgers import read_ledgers
from tests.faults.oracle import Pace
from tests.faults.stage import Stage, play, quick_stage
from tests.support.program import Program

GROUPS = 1000
PACE = Pace(poll_interval=20, longest_interval=120, gap_window=60, request_timeout=10)
"""Slow enough for any machine: none has to stretch the schedule."""


def story(program: Program, kind: str, url: str) -> None:
    """Enrol them while the command and the recorder write to the same tables; on SQLite one has to wait."""
    with quick_stage(program, kind, url, PACE, speed=4) as stage:
        stage.enrol(4, 4)
        with stage.program.start("run") as recorder:
            stage.wait_for_answers(recorder, 1)
            ids = [stage.upstream.create() for _ in range(GROUPS)]
            enrolled = stage.program.run("watch", "--from-file", "-", text="\n".join(ids))
            assert (enrolled.status, enrolled.out.count(": watching\n")) == (0, GROUPS), enrolled.err
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


def test_they_are_all_recorded(program: Program, databases: dict[str, str]) -> None:
    play(*(partial(story, program, kind, url) for kind, url in databases.items()))
