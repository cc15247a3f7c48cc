"""When one of two recorders on a database is killed, the other takes over without duplicate polls."""

from __future__ import annotations

import random
from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path

from tests.durability.oracle import Pace
from tests.durability.slow import Visit
from tests.durability.stage import Stage, play, slow_stage
from tests.support.program import Running

GROUPS, RUNS = 24, 6
PACE = Pace(poll_interval=0.3, longest_interval=1.8, gap_window=1.5, request_timeout=2.5)


def story(tmp_path: Path, kind: str, url: str) -> None:
    chance = random.Random(kind)
    seconds = partial(chance.uniform, 0.05, 0.4)
    with slow_stage(tmp_path, kind, url, PACE, lambda _: seconds()) as (stage, simulator):
        stage.enrol(GROUPS, RUNS)
        one_is_killed(stage)
        lost = stage.lost()
    check_visits(simulator.visits)
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


def name_of(recorder: Running) -> str:
    """The name under which a recorder claims groups."""
    return recorder.wait_for("recording").split("recorder=")[-1].strip()


def check_visits(visits: list[Visit]) -> None:
    """Check that no group is polled while another poll of it is in flight."""
    by_group: dict[str, list[Visit]] = defaultdict(list)
    for visit in sorted(visits, key=lambda visit: visit.came):
        by_group[visit.taskgroup_id].append(visit)
    assert len(by_group) == GROUPS
    for group in by_group.values():
        for one, next_one in pairwise(group):
            assert one.left <= next_one.came, (one, next_one)


def test_surviving_recorder_takes_over(tmp_path: Path, databases: dict[str, str]) -> None:
    play(*(partial(story, tmp_path, kind, url) for kind, url in databases.items()))
