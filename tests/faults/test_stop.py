"""A recorder that is stopped under load writes all responses that it still receives."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import select

from recorder.store.tables import recorders, watches
from tests.faults.oracle import Pace
from tests.faults.slow import SlowSimulator
from tests.faults.stage import Stage, play, slow_stage
from tests.support.program import Program

GROUPS, HANGING = 120, 4
BUSY = 40
"""Concurrent polls that count as load; the recorder makes up to 50."""
PACE = Pace(poll_interval=0.5, longest_interval=3.0, gap_window=60, request_timeout=40)


def story(program: Program, kind: str, url: str) -> None:
    chance, hanging = random.Random(kind), set[str]()

    def seconds_for(group: str) -> float:
        return 60 if group in hanging else chance.uniform(0.1, 1.3)

    with slow_stage(program, kind, url, PACE, seconds_for) as (stage, simulator):
        hanging |= set(stage.enrol(HANGING, 1))
        stage.enrol(GROUPS - HANGING, 4)
        stopped_at = stopped_under_load(stage, simulator)
        check(stage, stopped_at, hanging)


def stopped_under_load(stage: Stage, simulator: SlowSimulator) -> datetime:
    """Stop the recorder once it has run for a while and has many polls in flight."""

    def busy() -> bool | None:
        answered = sum(map(len, stage.answers().values()))
        return (answered > GROUPS and simulator.waiting >= BUSY) or None

    with stage.program.start("run") as recorder:
        recorder.wait_until(busy, "the recorder to be under load")
        stopped_at = datetime.now(UTC)
        assert recorder.stop() == 0
    return stopped_at


def check(stage: Stage, stopped_at: datetime, hanging: set[str]) -> None:
    lost = stage.lost()
    assert len(lost) == GROUPS
    assert set(lost.values()) == {0}
    after = [
        answer for answers in stage.answers().values() for answer in answers if answer.answered > stopped_at
    ]
    assert len(after) > 10, "no polls were in flight that could have been lost"
    assert stage.claims() == set()
    with stage.engine.connect() as connection:
        assert connection.execute(select(recorders)).all() == []
        due = connection.execute(
            select(watches.c.taskgroup_id).where(watches.c.next_poll_at <= datetime.now(UTC))
        )
        assert hanging <= set(due.scalars())


def test_received_responses_are_written_before_exit(program: Program, databases: dict[str, str]) -> None:
    play(*(partial(story, program, kind, url) for kind, url in databases.items()))
