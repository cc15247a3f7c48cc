"""When shares of the runs had finished, over many episodes."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from recorder.completion.kaplan_meier import kaplan_meier, quantile
from recorder.completion.milestones import PERCENTAGES


class MilestoneTimes:
    """The milestones of many episodes: after how many seconds each was reached, or has not been yet."""

    def __init__(self) -> None:
        self._times: defaultdict[float, list[tuple[float, bool]]] = defaultdict(list)

    def add(self, fraction: float, seconds: float | None, lasted_seconds: float) -> None:
        """Add a milestone of an episode that has lasted so long; `seconds` is None if it is not reached."""
        self._times[fraction].append((lasted_seconds, False) if seconds is None else (seconds, True))

    def medians(self) -> list[dict[str, Any]]:
        """Return the median time of each milestone as JSON values, in the order of the fractions.

        It is a Kaplan-Meier estimate, in which a milestone that is not reached counts as "later than this";
        `seconds` is None where the curve does not get there. `reached` and `episodes` count milestones.
        """
        return [self._median(percentage / 100) for percentage in PERCENTAGES]

    def _median(self, fraction: float) -> dict[str, Any]:
        times = self._times[fraction]
        seconds = np.array([time for time, _ in times], dtype=np.float64)
        reached = np.array([was_reached for _, was_reached in times], dtype=bool)
        return {
            "fraction": fraction,
            "episodes": len(times),
            "reached": int(reached.sum()),
            "seconds": quantile(kaplan_meier(seconds, reached), 0.5) if times else None,
        }
