"""A recorder killed at random times leaves a consistent ledger, and only real outages become gaps."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

from tests.faults.ledgers import read_ledgers
from tests.faults.oracle import ON_THE_WAY, Pace, sights
from tests.faults.stage import Stage, play, quick_stage
from tests.support.program import Program

SEED = int(os.environ.get("FAULTS_SEED", "20261124"))
KILLS = 10
"""On each database; `make faults` kills at other moments."""
SETTLED = {3, 4, 6, 7}
"""Before these kills it had time to write responses of every group, so both ends of an outage are clear."""
LONG_OUTAGE_AFTER = 6
"""Before this kill hardly any response is in transit, however busy the machine is."""
GROUPS, RUNS = 16, 8
PACE = Pace(poll_interval=0.3, longest_interval=1.8, gap_window=4.5, request_timeout=1.5)

CLEARLY_SHORT = PACE.due(1)[0] + PACE.window - ON_THE_WAY
CLEARLY_LONG = PACE.due(99)[1] + PACE.window + ON_THE_WAY
"""Silences that are too short for a gap, and long enough for one, whatever the group's interval."""


def killed_often(stage: Stage, chance: random.Random) -> list[datetime]:
    """Start and kill the recorder repeatedly, then stop it properly; return the times of the kills."""
    stage.enrol(GROUPS, RUNS)
    kills = []
    for number in range(KILLS):
        # Another group that is due immediately, so that there is always work to interrupt.
        stage.enrol(1, RUNS)
        with stage.program.start("run") as recorder:
            if number in SETTLED:
                stage.wait_for_answers(recorder, 2)
            elif chance.random() < 0.8:
                recorder.wait_for("recording")
            if number == LONG_OUTAGE_AFTER:
                stage.wait_until_written(recorder)
            else:
                # Not synchronisation: the kill must come at a random time.
                time.sleep(chance.uniform(0, 0.6))
            recorder.kill()
            kills.append(datetime.now(UTC))
        if number == LONG_OUTAGE_AFTER:
            # The outage itself.
            time.sleep(CLEARLY_LONG.total_seconds())
    with stage.program.start("run") as recorder:
        stage.wait_for_answers(recorder, 1)
        assert recorder.stop() == 0
    return kills


def outages(stage: Stage, kills: list[datetime]) -> Counter[str]:
    """Count the silences around kills that were clearly short or clearly long by the request log.

    The log cannot show this if a response was lost together with the recorder that received it.
    """
    found: Counter[str] = Counter()
    answers = stage.answers()
    for group, ledger in read_ledgers(stage.engine).items():
        seen = sights(ledger, answers[group], PACE)
        recorded = {number for sight in seen for number in sight.surely}
        after_gap = {sight.first for sight in seen if sight.after_gap}
        for number, (one, next_one) in enumerate(pairwise(answers[group])):
            killed = any(one.answered < kill < next_one.received for kill in kills)
            silence = next_one.answered - one.answered
            if not killed or not {number, number + 1} <= recorded:
                continue
            if silence < CLEARLY_SHORT:
                assert number + 1 not in after_gap, f"{group}: a gap of {silence}"
                found["short"] += 1
            elif silence > CLEARLY_LONG:
                assert number + 1 in after_gap, f"{group}: no gap in {silence}"
                found["long"] += 1
    return found


def story(program: Program, kind: str, url: str) -> None:
    with quick_stage(program, kind, url, PACE, speed=4) as on:
        kills = killed_often(on, random.Random(f"{SEED}-{kind}"))
        lost = on.lost()
        # Each kill loses at most one unwritten response per group.
        assert max(lost.values()) <= KILLS
        assert min(lost.values()) >= 0
        assert on.claims() == set()
        found = outages(on, kills)
        assert found["short"] >= 3, found
        assert found["long"] >= 3, found


def test_kills_leave_no_partial_or_duplicate_writes(program: Program, databases: dict[str, str]) -> None:
    play(*(partial(story, program, kind, url) for kind, url in databases.items()))
