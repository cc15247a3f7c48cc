"""Recorders killed at random times leave every event, once and in one order."""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack
from functools import partial

from recorder.store.events import PublishedEvent, read_events
from recorder.store.transactions import reading
from tests.faults.ledgers import read_ledgers
from tests.faults.oracle import Pace
from tests.faults.stage import Stage, play, quick_stage
from tests.support.event_oracle import expected_events
from tests.support.program import Program

SEED = int(os.environ.get("FAULTS_SEED", "20261124"))
KILLS, GROUPS, RUNS = 6, 8, 4
PACE = Pace(poll_interval=0.3, longest_interval=1.8, gap_window=4.5, request_timeout=1.5)


class Follower:
    """Reads events as a client does that keeps the last id it has seen."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.seen: list[PublishedEvent] = []

    def look(self) -> None:
        with reading(self._stage.engine) as connection:
            last = self.seen[-1].id if self.seen else 0
            self.seen += read_events(connection, after=last, limit=10_000)


def killed_often(stage: Stage, chance: random.Random, follower: Follower) -> None:
    """Start two recorders and kill both, repeatedly; then let one record until every group is settled."""
    for _ in range(KILLS):
        stage.enrol(GROUPS, RUNS)
        with ExitStack() as running:
            recorders = [running.enter_context(stage.program.start("run")) for _ in range(2)]
            recorders[0].wait_for("recording")
            for recorder in recorders:
                # Not synchronisation: the kills must come at random times.
                time.sleep(chance.uniform(0, 1))
                follower.look()
                recorder.kill()
    with stage.program.start("run") as recorder:

        def all_settled() -> bool | None:
            follower.look()
            settled = {
                item.event.taskgroup_id for item in follower.seen if item.event.type == "group.settled"
            }
            return len(settled) == KILLS * GROUPS or None

        recorder.wait_until(all_settled, "every group to settle")
        assert "settled" in recorder.printed
        assert recorder.stop() == 0
    follower.look()


def story(program: Program, kind: str, url: str) -> None:
    with quick_stage(program, kind, url, PACE, speed=4) as on:
        follower = Follower(on)
        killed_often(on, random.Random(f"{SEED}-{kind}"), follower)
        assert [item.id for item in follower.seen] == list(range(1, len(follower.seen) + 1))
        for group, ledger in read_ledgers(on.engine).items():
            told = [item.event for item in follower.seen if item.event.taskgroup_id == group]
            found = [(event.type.value, event.subject, event.seq) for event in told]
            assert found == expected_events(ledger.entries)


def test_every_event_is_told_once_whatever_dies(program: Program, databases: dict[str, str]) -> None:
    play(*(partial(story, program, kind, url) for kind, url in databases.items()))
