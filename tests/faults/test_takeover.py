"""When one of two recorders on a database is killed, the other takes over without duplicate polls."""

from __future__ import annotations

import random
from functools import partial

from tests.faults.oracle import Pace
from tests.faults.stage import Stage, check_visits, name_of, play, slow_stage
from tests.support.program import Program

GROUPS, RUNS = 24, 6
PACE = Pace(poll_interval=0.3, longest_interval=1.8, gap_window=1.5, request_timeout=2.5)


def story(program: Program, kind: str, url: str) -> None:
    chance = random.Random(kind)
    seconds = partial(chance.uniform, 0.05, 0.4)
    with slow_stage(program, kind, url, PACE, lambda _: seconds()) as (stage, simulator):
        stage.enrol(GROUPS, RUNS)
        one_is_killed(stage)
        lost = stage.lost()
    check_visits(simulator.visits, GROUPS)
    # Only the polls in flight at the killed recorder are lost.
    assert set(lost.values()) <= {0, 1}


def one_is_killed(stage: Stage) -> None:
    with stage.program.start("run") as first, stage.program.start("run") as second:
        both = {name_of(first), name_of(second)}
        stage.wait_for_answers(second, 2)
        first.wait_until(lambda: stage.claims() == both or None, "both to have polls in flight")
        first.kill()
        left = {name_of(first)}
        second.wait_until(lambda: not stage.claims() & left or None, "its claims to be taken over")
        stage.wait_for_answers(second, 1)
        assert second.stop() == 0
    assert stage.claims() == set()


def test_surviving_recorder_takes_over(program: Program, databases: dict[str, str]) -> None:
    play(*(partial(story, program, kind, url) for kind, url in databases.items()))
