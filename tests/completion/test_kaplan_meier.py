"""Kaplan-Meier curves and quantiles, checked against an example, two libraries and exact arithmetic."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recorder.completion.kaplan_meier import SurvivalCurve, kaplan_meier, quantile, quantile_ci95
from tests.support.exact_survival import exact_curve, exact_quantile

SHARES = {0.5: Fraction(1, 2), 0.9: Fraction(9, 10), 0.95: Fraction(19, 20), 0.99: Fraction(99, 100)}
TOLERANCE = 1e-9

Seconds = NDArray[np.float64]
Events = NDArray[np.bool_]


def samples(count: int, *, seed: int, longest: int = 60) -> Iterator[tuple[Seconds, Events]]:
    """Random durations, with ties, without, or with zeros, of which none, some or all ended."""
    random = np.random.default_rng(seed)
    for number in range(count):
        size = int(random.integers(1, longest + 1))
        tied, spread = random.integers(0, 9, size).astype(float), random.lognormal(5, 1.5, size)
        seconds = (tied, spread, np.where(random.random(size) < 0.3, 0, spread))[number % 3]
        yield seconds, random.random(size) >= random.choice([0, 0.1, 0.5, 0.9, 1])


def _pairs(seconds: Seconds, events: Events) -> list[tuple[float, bool]]:
    return list(zip(seconds.tolist(), events.tolist(), strict=True))


def _arrays(durations: list[tuple[float, bool]]) -> tuple[Seconds, Events]:
    return np.array([time for time, _ in durations], float), np.array([event for _, event in durations], bool)


def _inf(seconds: float | None) -> float:
    return np.inf if seconds is None else seconds


def _distance(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    return float(np.max(np.abs(ours - theirs), initial=0.0))


def scipy_distance(seconds: Seconds, events: Events) -> float:
    """The greatest difference from the curve and band of SciPy, which has no band where S is 0 or 1."""
    # Imported here because importing it takes a second in every test process.
    from scipy.stats import CensoredData, ecdf

    curve = kaplan_meier(seconds, events)
    theirs = ecdf(CensoredData.right_censored(seconds, ~events)).sf
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The confidence interval is undefined", RuntimeWarning)
        band = theirs.confidence_interval(0.95, method="log-log")
    assert np.array_equal(curve.seconds, theirs.quantiles)
    inside = (curve.surviving > 0) & (curve.surviving < 1)
    return max(
        _distance(curve.surviving, theirs.probabilities),
        _distance(curve.low[inside], band.low.probabilities[inside]),
        _distance(curve.high[inside], band.high.probabilities[inside]),
    )


def lifelines() -> ModuleType:
    """The library, imported only where it is used, like SciPy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_module("lifelines")


def lifelines_distance(seconds: Seconds, events: Events) -> float:
    """The greatest difference from the curve and band of lifelines, ignoring its band where S is 0."""
    curve = kaplan_meier(seconds, events)
    theirs = lifelines().KaplanMeierFitter().fit(seconds, events)
    band = theirs.confidence_interval_.loc[curve.seconds].to_numpy()
    lasting = curve.surviving > 0
    return max(
        _distance(curve.surviving, theirs.survival_function_.loc[curve.seconds, "KM_estimate"].to_numpy()),
        _distance(curve.low[lasting], band[lasting, 0]),
        _distance(curve.high[lasting], band[lasting, 1]),
    )


def test_remission_times_of_freireich() -> None:
    """6-mercaptopurine against leukaemia, in weeks (Freireich et al. 1963; Kalbfleisch and Prentice)."""
    ended = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    weeks = np.array(ended + censored, float)
    curve = kaplan_meier(weeks, np.arange(len(weeks)) < len(ended))
    at = np.isin(curve.seconds, ended)
    assert curve.at_risk[at].tolist() == [21, 17, 15, 12, 11, 7, 6]
    assert curve.surviving[at].round(4).tolist() == [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    assert curve.low[at].round(4).tolist() == [0.6197, 0.5631, 0.5032, 0.4316, 0.3675, 0.2678, 0.1881]
    assert curve.high[at].round(4).tolist() == [0.9516, 0.9228, 0.8894, 0.8491, 0.8049, 0.7468, 0.6801]
    assert (quantile(curve, 0.5), quantile_ci95(curve, 0.5)) == (23, (13, None))
    assert (quantile(curve, 0.9), quantile_ci95(curve, 0.9)) == (None, (None, None))


def test_curve_and_band_match_scipy() -> None:
    assert max(scipy_distance(*sample) for sample in samples(1500, seed=1)) <= TOLERANCE


@pytest.mark.slow
def test_curve_and_band_match_lifelines() -> None:
    assert max(lifelines_distance(*sample) for sample in samples(300, seed=2)) <= TOLERANCE


def test_curves_of_many_durations_match_scipy() -> None:
    random = np.random.default_rng(3)
    seconds = random.lognormal(6, 1, 30_000).round(1)
    assert scipy_distance(seconds, random.random(len(seconds)) < 0.7) <= TOLERANCE


@pytest.mark.slow
def test_quantiles_and_their_intervals_match_lifelines() -> None:
    for seconds, events in samples(200, seed=4):
        curve = kaplan_meier(seconds, events)
        theirs = lifelines().KaplanMeierFitter().fit(seconds, events)
        surviving = theirs.survival_function_["KM_estimate"]
        low, high = (end for _, end in theirs.confidence_interval_[surviving > 0].items())
        for p in SHARES:
            level = 1 - p + 1e-12
            assert _inf(quantile(curve, p)) == lifelines().utils.qth_survival_time(level, surviving)
            interval = tuple(next(iter(end.index[end <= level]), None) for end in (low, high))
            assert quantile_ci95(curve, p) == interval


@pytest.mark.slow
def test_quantiles_match_exact_arithmetic() -> None:
    for seconds, events in samples(2500, seed=5, longest=12):
        curve, pairs = kaplan_meier(seconds, events), _pairs(seconds, events)
        for p, share in SHARES.items():
            assert quantile(curve, p) == exact_quantile(pairs, share)


def test_risk_sets_and_curve_match_exact_arithmetic() -> None:
    for seconds, events in samples(500, seed=6, longest=25):
        curve, exact = kaplan_meier(seconds, events), exact_curve(_pairs(seconds, events))
        assert curve.seconds.tolist() == [time for time, _ in exact]
        assert curve.surviving == pytest.approx([float(surviving) for _, surviving in exact], abs=1e-14)
        assert curve.at_risk.tolist() == [int(np.sum(seconds >= time)) for time, _ in exact]


@pytest.mark.parametrize("size", [1, 2, 10, 20, 100, 1000, 99_999, 100_000])
@pytest.mark.parametrize("p", SHARES)
def test_a_level_reached_exactly_counts_as_reached(size: int, p: float) -> None:
    """Of the durations 1, 2, ..., `size`, the share p has ended at p * size, rounded up."""
    curve = kaplan_meier(np.arange(1, size + 1, dtype=float), np.ones(size, bool))
    assert quantile(curve, p) == -(-SHARES[p] * size // 1)


@pytest.mark.parametrize(
    ("p", "size", "before", "censored", "after"),
    [(0.5, 8, 2, 3, 1), (0.9, 36, 12, 4, 17), (0.95, 66, 22, 4, 37), (0.99, 306, 102, 4, 197)],
)
def test_a_level_reached_exactly_after_censoring_counts_as_reached(
    p: float, size: int, before: int, censored: int, after: int
) -> None:
    """One ends per second; `censored` are censored after `before`, and S is 1 - p after `after` more."""
    left = size - before - censored
    assert Fraction(size - before, size) * Fraction(left - after, left) == 1 - SHARES[p]
    ends = np.arange(1, size - censored + 1, dtype=float)
    seconds = np.concatenate([ends, np.full(censored, before + 0.5)])
    curve = kaplan_meier(seconds, np.arange(size) < len(ends))
    assert quantile(curve, p) == before + after


def test_events_precede_censoring_at_the_same_time() -> None:
    curve = kaplan_meier(np.array([5.0, 5.0, 5.0, 9.0]), np.array([False, True, False, True]))
    assert curve.at_risk.tolist() == [4, 1]
    assert curve.surviving.tolist() == [0.75, 0]


def test_there_is_no_band_where_nothing_survives() -> None:
    curve = kaplan_meier(np.array([0.0, 0.0]), np.array([True, True]))
    assert (curve.surviving.tolist(), curve.at_risk.tolist()) == ([0], [2])
    assert np.isnan([*curve.low, *curve.high]).all()
    assert (quantile(curve, 0.5), quantile_ci95(curve, 0.5)) == (0, (None, None))


def test_the_band_has_no_width_before_the_first_event() -> None:
    curve = kaplan_meier(np.array([1.0, 2.0, 3.0]), np.array([False, True, False]))
    assert (curve.surviving[0], curve.low[0], curve.high[0]) == (1, 1, 1)
    assert curve.low[1] < curve.surviving[1] == 0.5 < curve.high[1]


def test_endless_durations_stay_at_risk() -> None:
    curve = kaplan_meier(np.array([1.0, np.inf, np.inf]), np.array([True, False, False]))
    assert curve.at_risk.tolist() == [3, 2]
    assert curve.surviving == pytest.approx([2 / 3, 2 / 3])
    assert quantile(curve, 0.5) is None


@pytest.mark.parametrize("size", [0, 1, 7])
def test_no_quantile_is_reached_without_an_event(size: int) -> None:
    curve = kaplan_meier(np.arange(size, dtype=float), np.zeros(size, bool))
    assert curve.surviving.tolist() == curve.low.tolist() == curve.high.tolist() == [1] * size
    assert [(quantile(curve, p), quantile_ci95(curve, p)) for p in SHARES] == [(None, (None, None))] * 4


_DURATIONS = st.lists(st.tuples(st.floats(0, 1e9) | st.integers(0, 5), st.booleans()), max_size=40)


def _columns(curve: SurvivalCurve) -> list[list[float]]:
    return [curve.seconds.tolist(), curve.surviving.tolist(), curve.at_risk.tolist()]


@given(_DURATIONS)
def test_a_curve_falls_from_one_within_its_band(durations: list[tuple[float, bool]]) -> None:
    curve = kaplan_meier(*_arrays(durations))
    assert np.all(np.diff(curve.seconds) > 0)
    assert np.all(np.diff(curve.surviving, prepend=1.0) <= 0)
    assert np.all(np.diff(curve.at_risk) < 0)
    lasting = curve.surviving > 0
    assert np.all((curve.low <= curve.surviving)[lasting] & (curve.surviving <= curve.high)[lasting])
    assert np.all((curve.low >= 0)[lasting] & (curve.high <= 1)[lasting])


@given(_DURATIONS.flatmap(lambda durations: st.tuples(st.just(durations), st.permutations(durations))))
def test_the_order_of_durations_does_not_matter(
    orders: tuple[list[tuple[float, bool]], list[tuple[float, bool]]],
) -> None:
    one, other = (kaplan_meier(*_arrays(durations)) for durations in orders)
    assert _columns(one) == _columns(other)


@given(_DURATIONS)
def test_quantiles_increase_with_p(durations: list[tuple[float, bool]]) -> None:
    curve = kaplan_meier(*_arrays(durations))
    reached = [quantile(curve, p) for p in sorted(SHARES)]
    assert reached == sorted(reached, key=_inf)
    for p in SHARES:
        low, high = quantile_ci95(curve, p)
        middle = quantile(curve, p)
        assert low is None or middle is None or low <= middle
        assert high is None or (middle is not None and middle <= high)
