"""Bounds of quantiles and the envelopes of the curve, against every choice of durations within intervals."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.completion import quantile_bounds
from recorder.completion.quantile_bounds import Envelopes
from tests.support.exact_survival import exact_curve, exact_quantile

SHARES = [Fraction(1, 2), Fraction(9, 10), Fraction(19, 20), Fraction(99, 100)]
LAST, FAR = 5.5, 1000.0
"""A duration without a latest time is chosen up to LAST, and FAR, which is later than all others."""


@dataclass(frozen=True)
class Interval:
    """A duration in [earliest, latest], None where it has no end; `event` if it ended."""

    earliest: float
    width: int | None
    event: bool

    @property
    def latest(self) -> float:
        return inf if self.width is None else self.earliest + self.width

    @property
    def choices(self) -> list[float]:
        """Every half second in it."""
        latest = LAST if self.width is None else self.latest
        halves = [self.earliest + half / 2 for half in range(int(2 * (latest - self.earliest)) + 1)]
        return [*halves, FAR] if self.width is None else halves


def _intervals(most: int) -> st.SearchStrategy[list[Interval]]:
    widths = st.one_of(st.integers(0, 2), st.none())
    return st.lists(st.builds(Interval, st.integers(0, 3), widths, st.booleans()), min_size=1, max_size=most)


def _envelopes(intervals: list[Interval]) -> Envelopes:
    earliest = np.array([interval.earliest for interval in intervals], float)
    latest = np.array([interval.latest for interval in intervals], float)
    return Envelopes(earliest, latest, np.array([interval.event for interval in intervals]))


def _curves(intervals: list[Interval]) -> list[list[tuple[float, Fraction]]]:
    events = [interval.event for interval in intervals]
    choices = product(*(interval.choices for interval in intervals))
    return [exact_curve(list(zip(chosen, events, strict=True))) for chosen in choices]


def _first(curve: list[tuple[float, Fraction]], share: Fraction) -> float:
    return next((time for time, surviving in curve if surviving <= 1 - share), inf)


def _at(curve: list[tuple[float, Fraction]], time: float) -> Fraction:
    return next((surviving for seconds, surviving in reversed(curve) if seconds <= time), Fraction(1))


@given(_intervals(most=3))
def test_the_bounds_are_the_extremes_over_all_choices(intervals: list[Interval]) -> None:
    """The least one may lie just behind a censoring, at most the half second between two choices earlier."""
    envelopes, curves = _envelopes(intervals), _curves(intervals)
    for share in SHARES:
        least, greatest = (inf if end is None else end for end in envelopes.bounds(float(share)))
        found = [_first(curve, share) for curve in curves]
        assert greatest == (inf if max(found) >= FAR else max(found))
        assert least <= min(found)
        assert min(found) in {least, least + 0.5} or min(found) >= FAR


@given(_intervals(most=3))
def test_the_envelopes_are_the_extremes_over_all_choices(intervals: list[Interval]) -> None:
    envelopes, curves = _envelopes(intervals), _curves(intervals)
    times = np.unique([choice for interval in intervals for choice in interval.choices if choice < FAR])
    lowest, highest = envelopes.lowest(times), envelopes.highest(times)
    for place, time in enumerate(times):
        shares = [_at(curve, time) for curve in curves]
        assert lowest[place] == pytest.approx(float(min(shares)), abs=1e-12)
        assert highest[place] == pytest.approx(float(max(shares)), abs=1e-12)


@given(_intervals(most=40), st.randoms(use_true_random=False))
def test_no_choice_lies_outside(intervals: list[Interval], random: object) -> None:
    envelopes = _envelopes(intervals)
    chosen = [(random.choice(interval.choices), interval.event) for interval in intervals]  # type: ignore[attr-defined]
    for share in SHARES:
        least, greatest = envelopes.bounds(float(share))
        seconds = exact_quantile(chosen, share)
        true = inf if seconds is None else seconds
        assert (inf if least is None else least) <= true
        assert true <= (inf if greatest is None else greatest) or true == FAR


def test_the_curve_of_the_earliest_durations_is_no_bound() -> None:
    """At 2 s, one of two at risk ends and half survive; at 0.5 s, it is one of three and two thirds do."""
    earliest, latest = np.array([1.0, 0.5, 100.0]), np.array([1.0, 3.0, 100.0])
    envelopes = Envelopes(earliest, latest, np.array([False, True, True]))
    assert exact_quantile([(1.0, False), (0.5, True), (100.0, True)], SHARES[0]) == 100
    assert envelopes.bounds(0.5) == (1.0, 100.0)


def test_a_bound_that_need_not_be_reached_is_none() -> None:
    earliest, latest = np.array([1.0, 2.0]), np.array([inf, 3.0])
    for events, bounds in (
        ([True, True], {0.5: (1.0, 3.0), 0.9: (2.0, None)}),
        ([True, False], {0.5: (1.0, None), 0.9: (2.0, None)}),
        ([False, False], {0.5: (None, None)}),
    ):
        envelopes = Envelopes(earliest, latest, np.array(events))
        assert {share: envelopes.bounds(share) for share in bounds} == bounds


def test_between_the_times_at_which_it_is_computed_the_upper_envelope_is_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = np.arange(1.0, 11.0)
    envelopes = Envelopes(ends - 0.5, ends, np.ones(10, bool))
    exact = envelopes.highest(ends)
    monkeypatch.setattr(quantile_bounds, "MOST_EXACT", 4)
    coarse = envelopes.highest(ends)
    assert len(coarse) == 10
    assert (coarse >= exact).all()
    assert coarse[::3].tolist() == exact[::3].tolist()
