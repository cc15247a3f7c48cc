"""Responses that never end, though their connections are never idle, hold up nothing but their own groups."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from recorder.ledger.entries import Kind
from tests.faults.ledgers import read_ledgers
from tests.faults.oracle import Pace
from tests.faults.slow import SlowSimulator
from tests.faults.stage import Stage, check_visits, slow_stage
from tests.support.program import Program, Running

GROUPS, RUNS = 16, 6
PACE = Pace(poll_interval=0.3, longest_interval=1.8, gap_window=16, request_timeout=1.5)
LONG = timedelta(seconds=PACE.request_timeout / 2)
"""No response takes so long, unless it trickles."""


def test_the_others_are_recorded_and_the_slow_ones_given_up(program: Program, tmp_path: Path) -> None:
    """Fewer places for polls than slow groups: while none is given up, no other group would be polled."""
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    with slow_stage(program, "sqlite", url, PACE, lambda _: 0) as (stage, simulator):
        stage.program.ok("db", "upgrade")
        ids = stage.enrol(GROUPS, RUNS)
        with stage.program.using(RECORDER_CONCURRENCY=str(GROUPS // 2)).start("run") as recorder:
            stage.wait_for_answers(recorder, 2)
            slow = frozenset(ids[: GROUPS // 2])
            trickle(stage, simulator, recorder, slow)
            stage.wait_for_answers(recorder, 2)
            assert recorder.stop() == 0
            assert "errors=0" in recorder.wait_for("ended")
        # No answer in the log is missing, none is written twice, and what was never complete is not there.
        assert set(stage.lost().values()) == {0}
    check_visits(simulator.visits, GROUPS)
    entries = (entry for ledger in read_ledgers(stage.engine).values() for entry in ledger.entries)
    assert Kind.GAP not in {entry.kind for entry in entries}


def trickle(stage: Stage, simulator: SlowSimulator, recorder: Running, slow: frozenset[str]) -> None:
    """Let some groups' responses trickle until each was given up; the other groups go on being recorded."""
    answered = {group: len(answers) for group, answers in stage.answers().items()}
    simulator.trickling = slow

    def given_up_and_others_polled() -> bool | None:
        given_up = {visit.taskgroup_id for visit in simulator.visits if visit.left - visit.came > LONG}
        others = {group: len(answers) for group, answers in stage.answers().items() if group not in slow}
        polled = all(count >= answered[group] + 2 for group, count in others.items())
        return (polled and slow <= given_up) or None

    recorder.wait_until(given_up_and_others_polled, "slow responses to be given up, and others to be polled")
    simulator.trickling = frozenset()
