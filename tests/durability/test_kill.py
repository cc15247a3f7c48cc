"""Recorders killed at random moments: what is left is whole, and outages show as what they are."""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

from tests.durability.ledgers import read_ledgers
from tests.durability.oracle import ON_THE_WAY, Pace, sights
from tests.durability.stage import Stage, play, quick_stage

SEED = 20261124
KILLS = 20
SETTLED = {6, 7, 12, 13}
"""Before these kills it has had time to write answers of every group: an outage has two clear ends then."""
LONG_OUTAGE_AFTER = 12
"""Before this one hardly any answer is on its way, however busy the machine is."""
GROUPS, RUNS = 16, 8
PACE = Pace(poll_interval=0.3, longest_interval=1.8, gap_window=4.5, request_timeout=1.5)

CLEARLY_SHORT = PACE.due(1)[0] + PACE.window - ON_THE_WAY
CLEARLY_LONG = PACE.due(99)[1] + PACE.window + ON_THE_WAY
"""Without a response for so long, whatever the group's pace: no gap, and a gap."""


def killed_often(stage: Stage, chance: random.Random) -> list[datetime]:
    """Start the recorder and kill it, again and again; return when. The last one ends as it should."""
    stage.enrol(GROUPS, RUNS)
    kills = []
    for number in range(KILLS):
        # One more group that is due at once, so that there is always something to be interrupted in.
        stage.enrol(1, RUNS)
        with stage.program.start("run") as recorder:
            if number in SETTLED:
                stage.wait_for_answers(recorder, 2)
            elif chance.random() < 0.8:
                recorder.wait_for("recording")
            if number == LONG_OUTAGE_AFTER:
                stage.wait_until_written(recorder)
            else:
                # Nothing is waited for: it is killed at any moment.
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
    """Count the silences around kills that the request log alone says were clearly short or clearly long.

    Where an answer was lost with the recorder that received it, the log alone cannot say.
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


def story(tmp_path: Path, kind: str, url: str) -> None:
    with quick_stage(tmp_path, kind, url, PACE, speed=4) as on:
        kills = killed_often(on, random.Random(f"{SEED}-{kind}"))
        lost = on.lost()
        # A recorder loses of each group the one answer that it had not written when it was killed.
        assert max(lost.values()) <= KILLS
        assert min(lost.values()) >= 0
        assert on.claims() == set()
        found = outages(on, kills)
        assert found["short"] >= 3, found
        assert found["long"] >= 3, found


def test_whatever_moment_it_is_killed_at_nothing_is_written_twice_or_by_half(
    tmp_path: Path, databases: dict[str, str]
) -> None:
    play(*(partial(story, tmp_path, kind, url) for kind, url in databases.items()))
