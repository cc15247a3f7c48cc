"""The two envelopes of a Kaplan-Meier curve whose durations are only known to lie in intervals.

Each completed duration lies in its [earliest, latest], and so does the time at which a censored one was last
seen. At every time the curve is between the two envelopes wherever in their intervals the durations lie, and
where an envelope first reaches 1 - p it bounds the quantile p.

The curve at t is lowest when every event that can have happened by t has, as late as possible, so that few
are still at risk, and every censoring is early. It is highest when only those events have happened by t that
must have, as early as possible, and every censoring is late. The curves of all earliest and of all latest
durations are no envelopes: an event that moves past a censoring is one of fewer at risk, which lowers the
curve.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recorder.completion.kaplan_meier import ROUNDING

_Floats = NDArray[np.float64]
MOST_EXACT = 2000
"""The upper envelope is computed at up to this many times; at further ones the value before them is used,
which is a bound too."""


class Envelopes:
    """The envelopes of durations in [`earliest`, `latest`], of which `events` ended and others were censored.

    The arrays have the same length; the times are in seconds and not NaN, and `latest` can be infinite.
    """

    def __init__(self, earliest: _Floats, latest: _Floats, events: NDArray[np.bool_]) -> None:
        self._count = len(events)
        self._event_earliest = np.sort(earliest[events])
        self._censored_earliest = np.sort(earliest[~events])
        # An event without a latest time never has to have happened, so it never lowers the upper envelope.
        certain = np.flatnonzero(events & np.isfinite(latest))
        certain = certain[np.argsort(earliest[certain])]
        self._certain_earliest, self._certain_latest = earliest[certain], latest[certain]
        self._by_latest = np.argsort(self._certain_latest, kind="stable")
        self._latest = self._certain_latest[self._by_latest]
        self._censored_before = np.searchsorted(np.sort(latest[~events]), self._certain_earliest)

    def lowest(self, seconds: _Floats, side: str = "left") -> _Floats:
        """Return the lower envelope at `seconds`, or with `side` "right" just after them."""
        ended = np.searchsorted(self._latest, seconds, side="right")
        possible = np.searchsorted(self._event_earliest, seconds, side="right") - ended
        censored = np.searchsorted(self._censored_earliest, seconds, side=side)  # type: ignore[call-overload]
        at_risk = self._count - ended - censored
        share = np.divide(at_risk - possible, at_risk, out=np.ones(len(seconds)), where=possible > 0)
        return np.asarray(self._lowest_certain[ended] * share)

    def highest(self, seconds: _Floats) -> _Floats:
        """Return the upper envelope at `seconds`, which ascend."""
        step = -(-len(seconds) // MOST_EXACT) or 1
        values = np.array([self._highest_at(time) for time in seconds[::step].tolist()])
        return np.repeat(values, step)[: len(seconds)]

    def bounds(self, p: float) -> tuple[float | None, float | None]:
        """Return the least and the greatest value of the quantile `p`, None where it may not be reached.

        The least is an infimum: it need not be attained if it lies at a censoring.
        """
        times, lowest = self._lowest_by_time
        reached = np.flatnonzero(lowest <= 1 - p + ROUNDING)
        return float(times[reached[0]]) if reached.size else None, self._greatest_quantile(p)

    def _greatest_quantile(self, p: float) -> float | None:
        share = 1 - p + ROUNDING
        least, most = self._highest_between
        before = int(np.searchsorted(-least, -(share + ROUNDING)))
        found = int(np.searchsorted(-most, -(share - ROUNDING)))
        while before < found:
            middle = (before + found) // 2
            if self._highest_at_event(middle) <= share:
                found = middle
            else:
                before = middle + 1
        return float(self._latest[found]) if found < len(self._latest) else None

    def _highest_at_event(self, place: int) -> float:
        if place not in self._highest_values:
            self._highest_values[place] = self._highest_at(float(self._latest[place]))
        return self._highest_values[place]

    def _highest_at(self, time: float) -> float:
        """Events are in the order of their earliest times; those before the first that need not have happened
        by `time` are as if all had."""
        first = self._first_uncertain[np.searchsorted(self._latest, time, side="right")]
        end = np.searchsorted(self._certain_earliest, time, side="right")
        happened = self._certain_latest[first:end] <= time
        at_risk = self._count + 1 - first - np.cumsum(happened) - self._censored_before[first:end]
        return float(self._highest_before[first] * np.prod(1 - 1 / at_risk[happened]))

    @cached_property
    def _highest_between(self) -> tuple[_Floats, _Floats]:
        """What the upper envelope lies between where each event must have happened, by latest time: of the
        events that can have happened by then, all have, or only those before the first that need not have."""
        can = np.searchsorted(self._certain_earliest, self._latest, side="right")
        must = self._first_uncertain[np.searchsorted(self._latest, self._latest, side="right")]
        return self._highest_before[can], self._highest_before[must]

    @cached_property
    def _highest_values(self) -> dict[int, float]:
        return {}

    @cached_property
    def _lowest_by_time(self) -> tuple[_Floats, _Floats]:
        ends = np.concatenate([self._event_earliest, self._latest, self._censored_earliest])
        times = np.unique(ends)
        return times, self.lowest(times, side="right")

    @cached_property
    def _lowest_certain(self) -> _Floats:
        """The lower envelope of the first n events in the order of their latest times, by n."""
        places = np.arange(len(self._latest))
        censored = np.searchsorted(self._censored_earliest, self._latest)
        return _products(self._count - places - censored)

    @cached_property
    def _highest_before(self) -> _Floats:
        """The upper envelope of the first n events in the order of their earliest times, by n."""
        return _products(self._count - np.arange(len(self._latest)) - self._censored_before)

    @cached_property
    def _first_uncertain(self) -> NDArray[np.int64]:
        """The first place, by earliest time, of all but the first n events by latest time, by n."""
        firsts = np.minimum.accumulate(self._by_latest[::-1])[::-1]
        return np.append(firsts, len(self._by_latest))


def _products(at_risk: NDArray[np.int64]) -> _Floats:
    """Return the curve before the first event and after each; `at_risk` counts those at risk at each."""
    return np.concatenate([[1.0], np.cumprod(1 - 1 / at_risk)])
