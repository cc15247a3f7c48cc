"""Properties of a run's lifecycle."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.simulator.runs import (
    FINISHED,
    PROCESSOR_SECONDS,
    QUEUE_SECONDS,
    Life,
    OutcomeMix,
    RunOutcome,
    RunStatus,
    Steering,
    draw_life,
)

ROUNDING = 1e-9

randoms = st.integers(0, 2**32).map(Random)
processors = st.sampled_from(sorted(PROCESSOR_SECONDS))
shares = st.floats(0, 1 / 3)
mixes = st.builds(OutcomeMix, failed=shares, cancelled=shares, blocked=shares, detour=st.floats(0, 1))
steerings = st.builds(
    Steering, st.none() | st.sampled_from(RunOutcome), st.none() | st.floats(0, 10_000, allow_nan=False)
)
lives = st.builds(draw_life, randoms, processors, mixes, steerings)


def statuses(life: Life) -> list[RunStatus]:
    return [step.status for step in life]


@given(lives)
def test_a_run_is_queued_then_running_and_ends_finished_or_blocked(life: Life) -> None:
    assert (life[0].seconds, life[0].status) == (0, RunStatus.QUEUED)
    assert life[1].status is RunStatus.RUNNING
    assert life[-1].status in FINISHED | {RunStatus.ACTION_REQUIRED}
    assert not FINISHED & set(statuses(life[:-1]))


@given(lives)
def test_time_never_runs_backwards(life: Life) -> None:
    moments = [step.seconds for step in life]
    assert moments == sorted(moments)


@given(lives)
def test_a_run_is_only_cancelled_through_cancelling(life: Life) -> None:
    path = statuses(life)
    assert (path[-1] is RunStatus.CANCELLED) == (RunStatus.CANCELLING in path)
    if RunStatus.CANCELLING in path:
        assert path.index(RunStatus.CANCELLING) == len(path) - 2


@given(randoms, processors, mixes)
def test_a_runs_duration_is_within_its_processors_range(
    random: Random, processor: str, mix: OutcomeMix
) -> None:
    life = draw_life(random, processor, mix, Steering())
    low, high = PROCESSOR_SECONDS[processor]
    assert QUEUE_SECONDS[0] <= life[1].seconds <= QUEUE_SECONDS[1]
    assert low - ROUNDING <= life[-1].seconds - life[1].seconds <= high + ROUNDING


@given(randoms, processors, mixes, st.floats(0, 10_000))
def test_a_controlled_run_ends_exactly_when_requested(
    random: Random, processor: str, mix: OutcomeMix, seconds: float
) -> None:
    assert draw_life(random, processor, mix, Steering(seconds=seconds))[-1].seconds == seconds


@pytest.mark.parametrize(
    ("outcome", "path"),
    [
        (RunOutcome.COMPLETED, ["queued", "running", "completed"]),
        (RunOutcome.FAILED, ["queued", "running", "failed"]),
        (RunOutcome.CANCELLED, ["queued", "running", "cancelling", "cancelled"]),
        (RunOutcome.BLOCKED, ["queued", "running", "action_required"]),
    ],
)
def test_a_requested_outcome_is_reached_without_a_detour(outcome: RunOutcome, path: list[str]) -> None:
    life = draw_life(Random(1), "base", OutcomeMix(detour=1), Steering(outcome=outcome))
    assert statuses(life) == path


def test_a_detour_requires_action_and_then_continues() -> None:
    life = draw_life(Random(1), "base", OutcomeMix(failed=0, cancelled=0, detour=1), Steering())
    assert statuses(life) == ["queued", "running", "action_required", "running", "completed"]


@given(st.integers(), processors, mixes, steerings)
def test_the_same_seed_gives_the_same_lifecycle(
    seed: int, processor: str, mix: OutcomeMix, steering: Steering
) -> None:
    first, second = (draw_life(Random(seed), processor, mix, steering) for _ in range(2))
    assert first == second


def test_outcomes_of_many_runs_match_the_mix() -> None:
    random = Random(7)
    mix = OutcomeMix(failed=0.2, cancelled=0.1, blocked=0.3)
    outcomes = [mix.draw(random) for _ in range(10_000)]
    for outcome, share in [("failed", 0.2), ("cancelled", 0.1), ("blocked", 0.3), ("completed", 0.4)]:
        assert outcomes.count(RunOutcome(outcome)) / len(outcomes) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("shares", [{"failed": 1.1}, {"detour": -0.1}, {"failed": 0.6, "cancelled": 0.5}])
def test_invalid_shares_are_rejected(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        OutcomeMix(**shares)
