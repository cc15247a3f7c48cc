"""A recorder that is told to stop while it has its hands full writes whatever it receives."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import select

from recorder.store.tables import recorders, watches
from tests.durability.oracle import Pace
from tests.durability.slow import SlowSimulator
from tests.durability.stage import Stage, play, slow_stage

GROUPS, HANGING = 120, 4
BUSY = 40
"""So many polls at once; the recorder makes up to 50."""
PACE = Pace(poll_interval=0.5, longest_interval=3.0, gap_window=60, request_timeout=40)


def story(tmp_path: Path, kind: str, url: str) -> None:
    chance, hanging = random.Random(kind), set[str]()

    def seconds_for(group: str) -> float:
        return 60 if group in hanging else chance.uniform(0.1, 1.3)

    with slow_stage(tmp_path, kind, url, PACE, seconds_for) as (stage, simulator):
        hanging |= set(stage.enrol(HANGING, 1))
        stage.enrol(GROUPS - HANGING, 4)
        stopped_at = stopped_under_load(stage, simulator)
        check(stage, stopped_at, hanging)


def stopped_under_load(stage: Stage, simulator: SlowSimulator) -> datetime:
    """Stop the recorder when it has been at work for a while and all its polls are under way."""

    def busy() -> bool | None:
        answered = sum(map(len, stage.answers().values()))
        return (answered > GROUPS and simulator.waiting >= BUSY) or None

    with stage.program.start("run") as recorder:
        recorder.wait_until(busy, "the recorder to have its hands full")
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
    assert len(after) > 10, "nothing was under way that could have been lost"
    assert stage.claims() == set()
    with stage.engine.connect() as connection:
        assert connection.execute(select(recorders)).all() == []
        due = connection.execute(
            select(watches.c.taskgroup_id).where(watches.c.next_poll_at <= datetime.now(UTC))
        )
        assert hanging <= set(due.scalars())


def test_what_was_received_is_written_before_it_ends(tmp_path: Path, databases: dict[str, str]) -> None:
    play(*(partial(story, tmp_path, kind, url) for kind, url in databases.items()))
