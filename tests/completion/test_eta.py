"""Estimates of when an open episode will end: invariants, and how often they cover the truth."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks import eta_backtest
from recorder.completion.cohort import CohortCurve
from recorder.completion.eta import (
    Estimate,
    NoEstimate,
    WorkSoFar,
    estimate,
    eta_members,
    from_cohort,
    from_pace,
)
from recorder.completion.progress import ProgressMarks
from recorder.ledger.entries import Entry, Interval
from recorder.simulator.runs import PROCESSOR_SECONDS
from tests.support.ledgers import Ledger, body, seconds, time
from tests.support.progress import OBSERVATIONS, pace_of

Durations = list[tuple[float, bool]]

DURATIONS = st.lists(st.tuples(st.integers(0, 60).map(float), st.booleans()), min_size=1, max_size=80)
"""(seconds, completed), from few enough values for ties to occur."""

RISES = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 30)), min_size=2, max_size=60)
"""(seconds since the previous rise, number of runs finished)."""


def _cohort(durations: Durations) -> CohortCurve:
    return CohortCurve.of(
        np.array([item[0] for item in durations]), np.array([item[1] for item in durations])
    )


def _standing(
    *observations: tuple[float, int | None, int | None], at: float | None = None, blocked: bool = False
) -> WorkSoFar:
    """Return the work so far of an episode that began at 0 with no run finished."""
    seen_at = at if at is not None else max((item[0] for item in observations), default=0.0)
    return WorkSoFar(time(0), time(seen_at), pace_of([(0, 0, None), *observations]), blocked)


def _risen(rises: list[tuple[int, int]], remaining: int, idle: int = 0, scale: int = 1) -> WorkSoFar:
    at = finished = 0
    total = sum(count for _, count in rises) + remaining
    observations = [
        (float(scale * (at := at + gap)), finished := finished + count, total) for gap, count in rises
    ]
    return _standing(*observations, at=float(scale * (at + idle)))


def _left(result: Estimate | NoEstimate, standing: WorkSoFar) -> tuple[float, float, float]:
    assert isinstance(result, Estimate), result
    p10, p50, p90 = (
        (moment - standing.seen_at).total_seconds() for moment in (result.p10, result.p50, result.p90)
    )
    return p10, p50, p90


def _reason(result: Estimate | NoEstimate) -> str:
    assert isinstance(result, NoEstimate), result
    return result.reason


@given(
    OBSERVATIONS,
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.booleans(),
    st.none() | st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), max_size=60),
)
def test_estimates_are_ordered_and_not_in_the_past(
    observations: list[tuple[float, int | None, int | None]],
    started: float,
    seen: float,
    blocked: bool,
    durations: Durations | None,
) -> None:
    standing = WorkSoFar(time(started), time(seen), pace_of(observations), blocked)
    cohort = None if durations is None else _cohort(durations or [(1.0, False)])
    result = estimate(standing, cohort)
    assert isinstance(result, NoEstimate) or standing.seen_at <= result.p10 <= result.p50 <= result.p90
    assert eta_members(result)["reason"] != ""


@given(RISES, st.integers(1, 2000), st.integers(0, 10**6))
def test_estimates_from_any_pace_are_ordered(rises: list[tuple[int, int]], remaining: int, idle: int) -> None:
    standing = _risen(rises, remaining, idle)
    result = from_pace(standing)
    finished = sum(count for _, count in rises)
    assert isinstance(result, Estimate) is (finished >= 10 and 4 * finished >= remaining)
    if isinstance(result, Estimate):
        assert standing.seen_at < result.p10 < result.p50 < result.p90


@given(RISES, st.integers(1, 400), st.integers(0, 500))
def test_work_at_half_the_speed_takes_twice_as_long(
    rises: list[tuple[int, int]], remaining: int, idle: int
) -> None:
    once, twice = _risen(rises, remaining, idle), _risen(rises, remaining, idle, scale=2)
    assume(isinstance(from_pace(once), Estimate))
    doubled = [2 * left for left in _left(from_pace(once), once)]
    assert _left(from_pace(twice), twice) == pytest.approx(doubled, abs=1e-5)


@given(RISES, st.integers(1, 400), st.integers(1, 500))
def test_time_without_progress_delays_the_estimate(
    rises: list[tuple[int, int]], remaining: int, idle: int
) -> None:
    before, after = _risen(rises, remaining), _risen(rises, remaining, idle)
    assume(isinstance(from_pace(before), Estimate))
    pairs = zip(_left(from_pace(before), before), _left(from_pace(after), after), strict=True)
    assert all(late > early for early, late in pairs)


@given(RISES, st.integers(1, 100), st.integers(0, 500))
def test_the_pace_is_taken_from_the_second_half_of_the_finished_runs(
    rises: list[tuple[int, int]], remaining: int, idle: int
) -> None:
    """The oracle integrates over the second half in small steps and sums the powers one by one.

    The code's midpoint approximation differs by up to 6%, and its integral in place of the sum by up to 4%.
    """
    standing = _risen(rises[:20], remaining, idle)
    result = from_pace(standing)
    assume(isinstance(result, Estimate))
    marks = standing.pace.marks
    counts = np.array([mark.finished for mark in marks], dtype=float)
    times = np.array([seconds(mark.at) for mark in marks])
    half = counts[-1] / 2
    steps = np.linspace(np.interp(half, counts, times), seconds(standing.seen_at), 20_001)
    unfinished = counts[-1] + remaining - np.interp((steps[1:] + steps[:-1]) / 2, times, counts)
    for left, exponent, z in zip(
        _left(result, standing), (0.05, 0.42, 0.50), (-1.2815516, 0.0, 1.2815516), strict=True
    ):
        exposure = float((unfinished**exponent).sum() * (steps[1] - steps[0]))
        total = sum(number**-exponent for number in range(1, remaining + 1))
        spread = 0.5 * (1 / half + 1 / remaining) ** 0.5
        assert left == pytest.approx(exposure / half * total * np.exp(z * spread), rel=0.11)


@pytest.mark.parametrize("runs", [50, 500])
@pytest.mark.parametrize("finished", [0.3, 0.6, 0.9])
def test_for_work_at_a_constant_rate_p10_is_near_the_truth(runs: int, finished: float) -> None:
    count = round(finished * runs)
    standing = _standing(*((3.0 * number, number, runs) for number in range(1, count + 1)))
    truth = 3.0 * (runs - count)
    p10, _, p90 = _left(from_pace(standing), standing)
    assert 0.7 * truth < p10 < 1.1 * truth
    assert truth < p90


@pytest.mark.parametrize("finished", [0.4, 0.6, 0.8, 0.95])
def test_runs_that_thin_out_linearly_end_before_p90(finished: float) -> None:
    """The durations of 200 runs are quantiles of the density 2 (1 - t / 600) / 600."""
    ends = [600 * (1 - (1 - (number - 0.5) / 200) ** 0.5) for number in range(1, 201)]
    count = round(finished * 200)
    standing = _standing(*((end, number, 200) for number, end in enumerate(ends[:count], 1)))
    p10, p50, p90 = _left(from_pace(standing), standing)
    truth = ends[-1] - ends[count - 1]
    assert p10 < truth < p90
    assert p50 == pytest.approx(truth, rel=0.3)


def test_runs_that_finished_before_the_episode_do_not_count() -> None:
    reopened = ProgressMarks().seen(time(0), 1000, None)
    afresh = ProgressMarks().seen(time(0), 0, None)
    for number in range(1, 41):
        reopened = reopened.seen(time(5 * number), 1000 + number, 1100)
        afresh = afresh.seen(time(5 * number), number, 100)
    expected = from_pace(WorkSoFar(time(0), time(200), afresh))
    assert isinstance(expected, Estimate)
    assert from_pace(WorkSoFar(time(0), time(200), reopened)) == expected


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        pytest.param(_standing(), "not known", id="never seen"),
        pytest.param(_standing((50, 20, None)), "not known", id="no total"),
        pytest.param(_standing((50, 20, 40), (60, None, 40)), "not known", id="no counts"),
        pytest.param(_standing((50, 0, 40)), "fewer than 10 runs", id="nothing finished"),
        pytest.param(_standing((50, 9, 20)), "fewer than 10 runs", id="few finished"),
        pytest.param(_standing((50, 19, 100)), "less than 20%", id="a small part finished"),
    ],
)
def test_without_enough_progress_the_estimate_comes_from_the_cohort(standing: WorkSoFar, reason: str) -> None:
    assert reason in _reason(estimate(standing))
    result = estimate(standing, _cohort([(float(100 + number), True) for number in range(20)]))
    assert isinstance(result, Estimate)
    assert result.basis == "cohort"


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        pytest.param(_standing((50, 20, 40), blocked=True), "blocked", id="blocked"),
        pytest.param(_standing((50, 20, 40), at=40.0), "clock", id="seen before the newest mark"),
        pytest.param(WorkSoFar(time(10), time(9), ProgressMarks()), "clock", id="seen before the start"),
        pytest.param(_standing((50, 20, 40), (60, 15, 40)), "decreased", id="counts fell"),
        pytest.param(_standing((50, 40, 40)), "no run left", id="nothing left"),
        pytest.param(_standing((50, 50, 40)), "no run left", id="more finished than there are"),
    ],
)
def test_contradictions_and_blocked_groups_have_no_estimate(standing: WorkSoFar, reason: str) -> None:
    cohort = _cohort([(float(100 + number), True) for number in range(20)])
    assert reason in _reason(estimate(standing, cohort))
    assert reason in _reason(estimate(standing))


def test_an_end_beyond_the_last_date_is_not_an_estimate() -> None:
    standing = _standing((10.0**9, 10**17, 5 * 10**17), (2.5 * 10**11, 10**17 + 1, 5 * 10**17))
    assert "too far" in _reason(from_pace(standing))


@given(DURATIONS, st.integers(-1, 61), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_a_conditional_quantile_is_the_quantile_of_longer_episodes(
    durations: Durations, elapsed: int, p: float
) -> None:
    """The oracle is the Kaplan-Meier curve of only the longer episodes, in exact fractions."""
    longer = [item for item in durations if item[0] > elapsed]
    share, expected = Fraction(1), None
    for t in sorted({length for length, completed in longer if completed}):
        at_risk = sum(length >= t for length, _ in longer)
        share *= 1 - Fraction(sum(item == (t, True) for item in longer), at_risk)
        if share <= 1 - Fraction(str(p)):
            expected = t
            break
    cohort = _cohort(durations)
    assert cohort.quantile(p, elapsed) == expected
    assert cohort.count_longer(elapsed) == sum(completed for _, completed in longer)


@given(DURATIONS, st.floats(0, 60), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_conditional_quantiles_rise_with_p_and_exceed_the_time_elapsed(
    durations: Durations, elapsed: float, one: float, other: float
) -> None:
    lower, upper = (_cohort(durations).quantile(p, elapsed) for p in sorted((one, other)))
    assert lower is not None or upper is None
    assert lower is None or elapsed < lower
    assert lower is None or upper is None or lower <= upper


def test_cohort_durations_count_from_the_start_of_the_episode() -> None:
    standing = WorkSoFar(time(1000), time(1030), ProgressMarks())
    cohort = _cohort([(float(10 * number), True) for number in range(1, 24)])
    assert from_cohort(standing, cohort) == Estimate(time(1050), time(1130), time(1210), "cohort")


def test_too_few_longer_or_too_many_open_episodes_give_no_estimate() -> None:
    standing = WorkSoFar(time(0), time(13), ProgressMarks())
    few = _cohort([(float(number), True) for number in range(23)] + [(50.0, False)])
    assert "fewer than 10" in _reason(from_cohort(standing, few))
    unfinished = _cohort([(float(20 + number), number < 10) for number in range(100)])
    assert "still open" in _reason(from_cohort(standing, unfinished))


STEADY = tuple((10.0 * number, 10 * number, 100) for number in range(1, 5))
"""40 of 100 runs after 40 s; at this rate the episode lasts 100 s."""


@pytest.mark.parametrize(
    ("lasted", "basis"),
    [
        pytest.param((95, 96), "cohort", id="narrower"),
        pytest.param((60, 400), "pace", id="wider"),
        pytest.param((10, 39), "pace", id="all over before now"),
    ],
)
def test_the_narrower_basis_is_used(lasted: tuple[float, float], basis: str) -> None:
    cohort = _cohort([(float(length), True) for length in np.linspace(*lasted, 50)])
    result = estimate(_standing(*STEADY), cohort)
    by = {"pace": from_pace(_standing(*STEADY)), "cohort": from_cohort(_standing(*STEADY), cohort)}
    assert result == by[basis]


@pytest.mark.parametrize(
    "lasted",
    [
        pytest.param((50, 51), id="all shorter than possible"),
        pytest.param((900, 901), id="all longer than plausible"),
    ],
)
def test_an_estimate_spans_contradictory_bases(lasted: tuple[float, float]) -> None:
    standing = _standing(*STEADY)
    cohort = _cohort([(float(length), True) for length in np.linspace(*lasted, 50)])
    by_pace, by_cohort = from_pace(standing), from_cohort(standing, cohort)
    assert isinstance(by_pace, Estimate)
    assert isinstance(by_cohort, Estimate)
    result = estimate(standing, cohort)
    assert isinstance(result, Estimate)
    assert result.p10 == min(by_pace.p10, by_cohort.p10)
    assert result.p50 == by_pace.p50
    assert result.p90 == max(by_pace.p90, by_cohort.p90)
    assert result.basis == "pace"


def test_members_are_times_or_a_reason() -> None:
    estimated = eta_members(Estimate(time(1), time(2.5), time(3600), "pace"))
    assert estimated == {
        "p10": "2026-11-24T12:00:01.000000Z",
        "p50": "2026-11-24T12:00:02.500000Z",
        "p90": "2026-11-24T13:00:00.000000Z",
        "basis": "pace",
        "reason": None,
    }
    without = eta_members(NoEstimate("words"))
    assert without == {"p10": None, "p50": None, "p90": None, "basis": None, "reason": "words"}


def _simulated(kinds: tuple[str, ...], groups: int) -> list[eta_backtest.Case]:
    random, cases = Random(11), []
    for kind in kinds:
        cohort = eta_backtest.draw_cohort(random, (kind,), size=100)
        for _ in range(groups):
            cases += eta_backtest.replay(random, kind, cohort)
    return cases


def _scored(cases: list[eta_backtest.Case], *, alone: bool) -> eta_backtest.Score:
    results = [from_pace(case.standing) if alone else estimate(case.standing, case.cohort) for case in cases]
    scored = eta_backtest.score(cases, results)
    assert scored is not None
    return scored


@pytest.mark.slow
def test_about_80_percent_of_simulated_groups_end_between_p10_and_p90() -> None:
    cases = _simulated(tuple(PROCESSOR_SECONDS), groups=50)
    product = _scored(cases, alone=False)
    assert product.given == 1
    assert 0.7 < product.covered < 0.9
    assert 0.35 < product.below[1] < 0.65
    alone = _scored(cases, alone=True)
    assert alone.given > 0.9
    assert 0.75 < alone.covered < 0.95
    assert product.width < alone.width


def test_groups_at_a_constant_rate_end_between_p10_and_p90_of_their_pace() -> None:
    assert _scored(_simulated((eta_backtest.STEADY,), groups=40), alone=True).covered > 0.8


def test_groups_of_memoryless_runs_are_covered_with_a_cohort() -> None:
    random = Random(13)

    def group() -> list[float]:
        return sorted(random.expovariate(0.01) for _ in range(200))

    cohort = _cohort([(group()[-1], True) for _ in range(100)])
    covered = []
    for _ in range(100):
        ends = group()
        standing = _standing(*((end, number, 200) for number, end in enumerate(ends[:100], 1)))
        result = estimate(standing, cohort)
        assert isinstance(result, Estimate)
        covered.append(result.p10 <= time(ends[-1]) <= result.p90)
    assert 0.7 < sum(covered) / len(covered) < 1


def test_groups_slower_than_their_cohort_are_still_covered() -> None:
    random = Random(12)
    cohort = eta_backtest.draw_cohort(random, ("core",), size=60)
    cases = [case for _ in range(50) for case in eta_backtest.replay(random, eta_backtest.SLOW, cohort)]
    by_cohort = [from_cohort(case.standing, case.cohort) for case in cases]
    product = _scored(cases, alone=False)
    misled = eta_backtest.score(cases, by_cohort)
    assert misled is not None
    assert misled.covered < 0.1
    assert 0.7 < product.covered < 0.95


def test_recorded_episodes_are_replayed_with_the_cohort_of_the_time() -> None:
    def ledger(start: float, pause: float) -> tuple[list[Entry], Interval | None]:
        made = Ledger(start).see(start + 1, body(created=start))
        for number in range(41):
            counts: dict[str, Any] = {"completed": number, "running": 40 - number}
            at = start + 2 + number * pause
            made.see(at, body(created=start, **{name: count for name, count in counts.items() if count}))
        return made.entries, made.watch.open

    cases = list(eta_backtest.recorded([ledger(0, 10), ledger(50, 10), ledger(500, 10)]))
    assert [case.progress for case in cases] == 3 * [0.25, 0.5, 0.75]
    assert {case.kind for case in cases} == {"None"}
    # Runs finish every 10 s, and the end is estimated as the middle of the last 10 s.
    assert [case.left_seconds for case in cases] == pytest.approx(3 * [295, 195, 95], abs=1)
    assert [case.cohort.count_longer(-1.0) for case in cases] == [0, 0, 0, 0, 0, 0, 2, 2, 2]
    assert all(isinstance(from_pace(case.standing), Estimate) for case in cases)
    assert timedelta() < cases[0].standing.seen_at - cases[0].standing.started_at < timedelta(seconds=110)
