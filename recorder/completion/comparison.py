"""Compare how long two sets of episodes lasted, with open ones counted as lasting longer than seen."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.completion.statistics import QUANTILES, Durations, statistics_of


@dataclass(frozen=True, slots=True)
class LogRank:
    """A log-rank test: the chi-squared `statistic`, with one degree of freedom, and its `p_value`."""

    statistic: float
    p_value: float


def compared(one: Durations, other: Durations) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the statistics of both, and how those of `one` differ from those of `other`, as JSON values.

    A difference is one minus other, in seconds.
    """
    sides = [statistics_of(one), statistics_of(other)]
    test = log_rank(one, other)
    return sides, {
        "differences": {name: _difference(sides[0][name], sides[1][name]) for name in QUANTILES},
        "log_rank": None if test is None else {"statistic": test.statistic, "p_value": test.p_value},
    }


def log_rank(one: Durations, other: Durations) -> LogRank | None:
    """Test whether two sets of durations can be of one distribution (Mantel 1966).

    At equal times events come before censorings. None if no episode of both ended while others of the other
    set were still running: nothing can be compared then.
    """
    both = Durations.joined([one, other])
    times = np.unique(both.seconds[~both.censored])
    at_risk, mine = _at_risk(both, times), _at_risk(one, times)
    ended = _ended(both, times)
    share = mine / at_risk
    expected = float((ended * share).sum())
    variance = float((ended * share * (1 - share) * (at_risk - ended) / np.maximum(at_risk - 1, 1)).sum())
    if variance <= 0:
        return None
    statistic = (int((~one.censored).sum()) - expected) ** 2 / variance
    return LogRank(statistic, erfc(sqrt(statistic / 2)))


def _at_risk(durations: Durations, times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many durations had not ended just before each of `times`."""
    return len(durations.seconds) - np.searchsorted(np.sort(durations.seconds), times)


def _ended(durations: Durations, times: NDArray[np.float64]) -> NDArray[np.int64]:
    ends = np.sort(durations.seconds[~durations.censored])
    return np.searchsorted(ends, times, side="right") - np.searchsorted(ends, times)


def _difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the difference of two quantiles with its 95 % interval and its bounds.

    The interval combines those of the two quantiles by the method of variance estimates recovery (Zou and
    Donner 2008). The bounds are the least and the greatest difference that the bounds of both allow.
    """
    low, high = None, None
    first, second = one["seconds"], other["seconds"]
    if first is not None and second is not None:
        (first_low, first_high), (second_low, second_high) = one["ci95"], other["ci95"]
        if first_low is not None and second_high is not None:
            low = first - second - hypot(first - first_low, second_high - second)
        if first_high is not None and second_low is not None:
            high = first - second + hypot(first_high - first, second - second_low)
    bounds = one["bounds"], other["bounds"]
    return {
        "seconds": _minus(first, second),
        "ci95": [low, high],
        "bounds": [_minus(bounds[0][0], bounds[1][1]), _minus(bounds[0][1], bounds[1][0])],
    }


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
