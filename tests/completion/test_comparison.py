"""Comparing two sets of durations: the log-rank test against lifelines, the intervals by simulation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.completion.comparison import compared, log_rank
from recorder.completion.statistics import Durations, statistics_of

Sample = list[tuple[int, bool]]
SAMPLES = st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=30)


def _durations(sample: Sample) -> Durations:
    return Durations.of([(float(time), float(time), float(time), censored) for time, censored in sample])


@given(SAMPLES, SAMPLES)
def test_the_log_rank_test_matches_lifelines(one: Sample, other: Sample) -> None:
    test = log_rank(_durations(one), _durations(other))
    # Imported here because importing it takes a second in every test process.
    from lifelines.statistics import logrank_test

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = logrank_test(
            [time for time, _ in one],
            [time for time, _ in other],
            [not censored for _, censored in one],
            [not censored for _, censored in other],
        )
    if test is None:
        assert not np.isfinite(theirs.test_statistic) or theirs.test_statistic == 0
    else:
        assert test.statistic == pytest.approx(theirs.test_statistic, rel=1e-9, abs=1e-9)
        assert test.p_value == pytest.approx(theirs.p_value, rel=1e-9)


def test_the_remission_times_of_freireich() -> None:
    """6-mercaptopurine against a placebo (Freireich et al. 1963); the textbooks have 16.79."""
    ended = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    drug = _durations([*((time, False) for time in ended), *((time, True) for time in censored)])
    test = log_rank(drug, _durations([(time, False) for time in placebo]))
    assert test is not None
    assert round(test.statistic, 2) == 16.79


@pytest.mark.parametrize(
    ("one", "other"),
    [([], []), ([(5, False)], []), ([(5, True)], [(6, True)]), ([(5, True)], [(6, False)])],
)
def test_nothing_to_compare(one: Sample, other: Sample) -> None:
    assert log_rank(_durations(one), _durations(other)) is None


@given(SAMPLES, SAMPLES)
def test_the_sides_are_those_of_each_alone(one: Sample, other: Sample) -> None:
    first, second = _durations(one), _durations(other)
    sides, comparison = compared(first, second)
    assert sides == [statistics_of(first), statistics_of(second)]
    for name, difference in comparison["differences"].items():
        seconds = [side[name]["seconds"] for side in sides]
        known = None not in seconds
        assert difference["seconds"] == (seconds[0] - seconds[1] if known else None)
        low, high = difference["ci95"]
        if known:
            assert low is None or low <= difference["seconds"]
            assert high is None or difference["seconds"] <= high


@given(SAMPLES, SAMPLES)
def test_swapping_the_sides_turns_every_sign(one: Sample, other: Sample) -> None:
    _, forth = compared(_durations(one), _durations(other))
    _, back = compared(_durations(other), _durations(one))
    for name, difference in forth["differences"].items():
        for member in ("ci95", "bounds"):
            ends = [None if end is None else -end for end in reversed(back["differences"][name][member])]
            assert difference[member] == ends
    if forth["log_rank"] is not None:
        assert forth["log_rank"]["statistic"] == pytest.approx(back["log_rank"]["statistic"])


def test_the_interval_of_the_median_difference_holds_in_95_percent() -> None:
    """The true medians differ by 100 ln 2 seconds; a fifth of the episodes is censored."""
    random = np.random.default_rng(20261127)
    true, held, trials = 100 * np.log(2), 0, 400
    for _ in range(trials):
        sides = []
        for scale in (300.0, 200.0):
            ends, censorings = random.exponential(scale, 80), random.exponential(4 * scale, 80)
            seconds = np.minimum(ends, censorings)
            sides.append(Durations(seconds, seconds, seconds, censorings < ends))
        low, high = compared(*sides)[1]["differences"]["p50"]["ci95"]
        held += low <= true <= high
    assert 0.93 <= held / trials <= 0.98
