"""The durations of similar episodes, as a survival curve that estimates read quantiles from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recorder.completion.kaplan_meier import kaplan_meier

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class CohortCurve:
    """The durations of similar episodes, prepared for any number of estimates; see `of`."""

    _times: list[float]
    _surviving: list[float]
    _fallen: list[float]
    _completed: list[float]

    @classmethod
    def of(cls, seconds: NDArray[np.float64], completed: NDArray[np.bool_]) -> CohortCurve:
        """Return the cohort of these durations; those that are not `completed` last longer than `seconds`."""
        curve = kaplan_meier(seconds, completed)
        # Looking up one value takes NumPy many times as long as `bisect` in a list.
        columns = (curve.seconds, curve.surviving, -curve.surviving, np.sort(seconds[completed]))
        return cls(*(column.tolist() for column in columns))

    def count_longer(self, elapsed_seconds: float) -> int:
        """Return how many completed episodes lasted longer than `elapsed_seconds`."""
        return len(self._completed) - bisect_right(self._completed, elapsed_seconds)

    def quantile(self, p: float, elapsed_seconds: float) -> float | None:
        """Return the duration by which the share `p` of the episodes longer than `elapsed_seconds` has ended.

        It is the first t with S(t) / S(elapsed) <= 1 - p, None if the curve does not get there.
        """
        passed = bisect_right(self._times, elapsed_seconds)
        share = self._surviving[passed - 1] if passed else 1.0
        target = (1 - p + _ROUNDING) * share
        later = bisect_left(self._fallen, -target, passed)
        return self._times[later] if later < len(self._times) else None
