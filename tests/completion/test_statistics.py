"""Statistics of a selection of episodes: examples, and comparison with exact arithmetic."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from math import fsum, inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.completion.statistics import Durations, curve_items, statistics_of
from tests.support.exact_survival import exact_curve, exact_quantile

QUANTILES = {
    "p50": Fraction(1, 2),
    "p90": Fraction(9, 10),
    "p95": Fraction(19, 20),
    "p99": Fraction(99, 100),
}
UNKNOWN = {"seconds": None, "ci95": [None, None], "bounds": [None, None]}

Row = tuple[float, float | None, float | None, bool]


@dataclass(frozen=True)
class Length:
    """The true duration of an episode, so far if it is `open`, and its known bounds."""

    earliest: float | None
    true: float
    latest: float | None
    open: bool

    @property
    def row(self) -> Row:
        return self.true, self.earliest, self.latest, self.open

    @property
    def known_earliest(self) -> float:
        return 0 if self.earliest is None else self.earliest


def _length(known: bool, steps: tuple[int, int, int], bounded: bool, is_open: bool) -> Length:
    earliest, true, latest = np.cumsum(steps).tolist()
    return Length(earliest if known else None, true, latest if bounded and not is_open else None, is_open)


def _lengths(*, is_open: st.SearchStrategy[bool]) -> st.SearchStrategy[list[Length]]:
    steps = st.tuples(st.integers(0, 9), st.integers(0, 4), st.integers(0, 4))
    mostly = st.sampled_from([True, True, True, False])
    return st.lists(st.builds(_length, mostly, steps, mostly, is_open), min_size=1, max_size=12)


LENGTHS = _lengths(is_open=st.booleans())


def _statistics(*rows: Row) -> dict[str, Any]:
    return statistics_of(Durations.of(rows))


def _bounds(lengths: list[Length], end: int) -> list[float | None]:
    members = _statistics(*(length.row for length in lengths))
    return [members[name]["bounds"][end] for name in QUANTILES]


def _true_quantiles(lengths: list[Length]) -> list[float | None]:
    pairs = [(length.true, not length.open) for length in lengths]
    return [exact_quantile(pairs, share) for share in QUANTILES.values()]


def _never(bound: float | None) -> float:
    return inf if bound is None else bound


def test_the_members() -> None:
    """Computed by hand: S is 0.75, 0.375, 0 from 20, 40, 60 s, with bands [0.128, 0.961], [0.011, 0.808]."""
    assert _statistics(
        (20.0, 15.0, 25.0, False),
        (40.0, None, None, False),
        (30.0, 28.0, None, True),
        (60.0, 50.0, 61.0, False),
    ) == {
        "episodes": 4,
        "completed": 3,
        "censored": 1,
        "p50": {"seconds": 40, "ci95": [20, None], "bounds": [15, 61]},
        "p90": {"seconds": 60, "ci95": [40, None], "bounds": [50, None]},
        "p95": {"seconds": 60, "ci95": [40, None], "bounds": [50, None]},
        "p99": {"seconds": 60, "ci95": [None, None], "bounds": [50, None]},
        "min_seconds": 20,
        "max_seconds": 60,
        "completed_mean_seconds": 40,
    }


def test_nothing_selected() -> None:
    assert _statistics() == {
        "episodes": 0,
        "completed": 0,
        "censored": 0,
        **dict.fromkeys(QUANTILES, UNKNOWN),
        "min_seconds": None,
        "max_seconds": None,
        "completed_mean_seconds": None,
    }
    assert curve_items(Durations.of([])) == []


def test_only_open_episodes() -> None:
    members = _statistics((5.0, 4.0, None, True), (7.0, 7.0, None, True))
    assert (members["episodes"], members["completed"], members["censored"]) == (2, 0, 2)
    assert [members[name] for name in QUANTILES] == [UNKNOWN] * 4
    assert members["min_seconds"] is members["max_seconds"] is members["completed_mean_seconds"] is None


@given(LENGTHS)
def test_extremes_and_mean_are_of_completed_episodes(lengths: list[Length]) -> None:
    members = _statistics(*(length.row for length in lengths))
    completed = [length.true for length in lengths if not length.open]
    assert members["episodes"] == len(lengths) == members["completed"] + members["censored"]
    assert members["completed"] == len(completed)
    assert members["min_seconds"] == min(completed, default=None)
    assert members["max_seconds"] == max(completed, default=None)
    mean = fsum(completed) / len(completed) if completed else None
    assert members["completed_mean_seconds"] == (None if mean is None else pytest.approx(mean, rel=1e-12))


@given(LENGTHS)
def test_members_are_plain_json(lengths: list[Length]) -> None:
    durations = Durations.of(length.row for length in lengths)
    for members in (statistics_of(durations), curve_items(durations)):
        assert json.loads(json.dumps(members, allow_nan=False)) == members
        assert {type(value) for value in _leaves(members)} <= {int, float, type(None)}


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


@given(LENGTHS)
def test_quantiles_match_exact_arithmetic(lengths: list[Length]) -> None:
    members = _statistics(*(length.row for length in lengths))
    assert [members[name]["seconds"] for name in QUANTILES] == _true_quantiles(lengths)


@given(LENGTHS)
def test_quantiles_lie_within_their_bounds(lengths: list[Length]) -> None:
    least, greatest = _bounds(lengths, 0), _bounds(lengths, 1)
    for low, true, high in zip(least, _true_quantiles(lengths), greatest, strict=True):
        assert _never(low) <= _never(true) <= _never(high)


def test_a_duration_outside_its_own_bounds_widens_them() -> None:
    """As when our clock was set between the start and the end."""
    members = _statistics((5.0, 8.0, 9.0, False), (12.0, 8.0, 9.0, False))
    assert [members["p50"]["bounds"], members["p99"]["bounds"]] == [[5, 9], [8, 12]]


@given(LENGTHS, st.data())
def test_a_selection_has_the_statistics_of_its_rows(lengths: list[Length], data: st.DataObject) -> None:
    mask = data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    selected = Durations.of(length.row for length in lengths).select(np.array(mask, bool))
    rows = [length.row for length, taken in zip(lengths, mask, strict=True) if taken]
    assert statistics_of(selected) == _statistics(*rows)


def test_rows_must_have_four_columns() -> None:
    with pytest.raises(ValueError, match="unpack"):
        Durations.of([(1.0, 2.0, 3.0), (1.0, 2.0, 3.0)])


def test_the_curve_starts_at_zero() -> None:
    items = curve_items(
        Durations.of([(4.0, 4.0, 4.0, False), (2.0, 1.0, None, True), (7.0, 7.0, 7.0, False)])
    )
    low, high = items[2].pop("low"), items[2].pop("high")
    names = ("seconds", "surviving", "low", "high", "surviving_least", "surviving_most", "at_risk")
    assert [tuple(item.get(name) for name in names) for item in items] == [
        (0, 1, 1, 1, 1, 1, 3),
        (2, 1, 1, 1, 1, 1, 3),
        (4, 0.5, None, None, 0.5, pytest.approx(2 / 3), 2),
        (7, 0, None, None, 0, pytest.approx(1 / 3), 1),
    ]
    assert 0 < low < 0.5 < high < 1


@pytest.mark.parametrize(("censored", "surviving"), [(False, 0.5), (True, 1)])
def test_events_at_zero_are_in_the_first_item(censored: bool, surviving: float) -> None:
    items = curve_items(Durations.of([(0.0, None, None, censored), (9.0, 8.0, 9.5, False)]))
    assert [(item["seconds"], item["surviving"], item["at_risk"]) for item in items] == [
        (0, surviving, 2),
        (9, 0, 1),
    ]


@given(LENGTHS)
def test_the_curve_has_an_item_for_each_distinct_time(lengths: list[Length]) -> None:
    items = curve_items(Durations.of(length.row for length in lengths))
    exact = exact_curve([(length.true, not length.open) for length in lengths])
    if exact[0][0] > 0:
        exact = [(0.0, Fraction(1)), *exact]
    assert [item["seconds"] for item in items] == [time for time, _ in exact]
    surviving = [float(share) for _, share in exact]
    assert [item["surviving"] for item in items] == pytest.approx(surviving, abs=1e-14)
