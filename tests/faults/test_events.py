"""Recorders killed at random times leave every event, once and in one order, and tell a webhook of each."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial

from recorder.clock import utc_now
from recorder.store.enrolment import Deadline, expect_of_group
from tests.faults.oracle import Pace
from tests.faults.stage import Stage, play, quick_stage
from tests.faults.told import CLOCK_MADE, Follower, check_told, told_by
from tests.support.program import Program
from tests.support.webhook_receiver import Receiver, webhook_receiver

SEED = int(os.environ.get("FAULTS_SEED", "20261124"))
KILLS, GROUPS, RUNS = 6, 8, 4
PACE = Pace(poll_interval=0.3, longest_interval=1.8, gap_window=4.5, request_timeout=1.5)


def expect_too_much(stage: Stage, group: str) -> None:
    """Expect one run too many of a group, within a moment."""
    now = utc_now()
    expect_of_group(
        *(stage.engine, group, {"runs": RUNS + 1, "by": now}),
        actor="a test",
        note=None,
        now=lambda: now,
        deadline=Deadline(0),
    )


def killed_often(stage: Stage, chance: random.Random, follower: Follower, receiver: Receiver) -> None:
    """Start two recorders and kill both, repeatedly; then let one record until every group is settled."""
    for _ in range(KILLS):
        expect_too_much(stage, stage.enrol(GROUPS, RUNS)[0])
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
            if not set(follower.ids) <= set(receiver.ids):
                return None
            told = Counter(kind for kind, _ in {(i.event.type, i.event.taskgroup_id) for i in follower.seen})
            settled = told["group.settled"] == KILLS * GROUPS
            return (settled and all(told[kind] == KILLS for kind in CLOCK_MADE)) or None

        recorder.wait_until(all_settled, "every group to settle, and everything to be told")
        assert "settled" in recorder.printed
        assert recorder.stop() == 0
    follower.look()


def story(program: Program, kind: str, url: str) -> None:
    with webhook_receiver() as receiver, quick_stage(program, kind, url, PACE, speed=20) as stage:
        on = told_by(stage, receiver)
        follower = Follower(on)
        killed_often(on, random.Random(f"{SEED}-{kind}"), follower, receiver)
        for of_the_clock in check_told(on, follower, receiver).values():
            assert of_the_clock in (Counter(), Counter(CLOCK_MADE))


def test_every_event_is_told_once_whatever_dies(program: Program, databases: dict[str, str]) -> None:
    play(*(partial(story, program, kind, url) for kind, url in databases.items()))
