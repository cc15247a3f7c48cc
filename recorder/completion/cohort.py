"""The durations of similar episodes, as a survival curve that estimates read quantiles from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recorder.completion.kaplan_meier import SurvivalCurve, kaplan_meier

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class CohortCurve:
    """The durations of similar episodes, prepared for any number of estimates; see `of`."""

    curve: SurvivalCurve
    completed: NDArray[np.float64]

    @classmethod
    def of(cls, seconds: NDArray[np.float64], completed: NDArray[np.bool_]) -> CohortCurve:
        """Return the cohort of these durations; those that are not `completed` last longer than `seconds`."""
        return cls(kaplan_meier(seconds, completed), np.sort(seconds[completed]))

    def count_longer(self, elapsed_seconds: float) -> int:
        """Return how many completed episodes lasted longer than `elapsed_seconds`."""
        return len(self.completed) - int(np.searchsorted(self.completed, elapsed_seconds, side="right"))

    def quantile(self, p: float, elapsed_seconds: float) -> float | None:
        """Return the duration by which the share `p` of the episodes longer than `elapsed_seconds` has ended.

        It is the first t with S(t) / S(elapsed) <= 1 - p, None if the curve does not get there.
        """
        passed = int(np.searchsorted(self.curve.seconds, elapsed_seconds, side="right"))
        share = self.curve.surviving[passed - 1] if passed else 1.0
        target = (1 - p + _ROUNDING) * share
        later = passed + int(np.searchsorted(-self.curve.surviving[passed:], -target))
        return float(self.curve.seconds[later]) if later < len(self.curve.seconds) else None
