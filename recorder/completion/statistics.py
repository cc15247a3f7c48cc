"""Statistics of episode durations, as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.completion.kaplan_meier import SurvivalCurve, kaplan_meier, quantile, quantile_ci95

_QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True, eq=False)
class Durations:
    """The durations of episodes, in seconds, as equally long arrays.

    `earliest` and `latest` bound each duration, NaN where a bound is unknown. A `censored` duration is that
    of an open episode: the true one is longer than `seconds`, and `latest` is NaN.
    """

    seconds: NDArray[np.float64]
    earliest: NDArray[np.float64]
    latest: NDArray[np.float64]
    censored: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Iterable[Sequence[float | None]]) -> Durations:
        """Return the durations of rows (seconds, earliest, latest, censored), with None for what is unknown.

        Raises:
            ValueError: a row does not have four values.
        """
        table = np.array([tuple(row) for row in rows] or np.empty((0, 4)), dtype=np.float64)
        seconds, earliest, latest, censored = table.T
        return cls(seconds, earliest, latest, censored == 1)

    @classmethod
    def of_columns(
        cls,
        seconds: Sequence[float],
        earliest: Sequence[float | None],
        latest: Sequence[float | None],
        *,
        censored: bool,
    ) -> Durations:
        """Return durations that are all censored or all completed; None is an unknown bound."""
        spans = [np.array(column, dtype=np.float64) for column in (seconds, earliest, latest)]
        return cls(spans[0], spans[1], spans[2], np.full(len(seconds), censored))

    @classmethod
    def joined(cls, parts: Sequence[Durations]) -> Durations:
        """Return the durations of one or more parts, in order."""
        columns = [(part.seconds, part.earliest, part.latest, part.censored) for part in parts]
        return cls(*map(np.concatenate, zip(*columns, strict=True)))

    def select(self, mask: NDArray[np.bool_] | NDArray[np.int64]) -> Durations:
        """Return the durations where `mask` is true, or those at its indices."""
        return Durations(self.seconds[mask], self.earliest[mask], self.latest[mask], self.censored[mask])


def statistics_of(durations: Durations) -> dict[str, Any]:
    """Return the counts, quantiles and extremes of `durations` as JSON values; None is unknown.

    Minimum, maximum and mean cover completed episodes only. The quantiles are Kaplan-Meier estimates, in
    which open episodes count for as long as they were seen. `ci95` is the uncertainty that comes from the
    number of episodes, `bounds` the one that comes from starts and ends that are not known exactly.
    """
    completed = durations.seconds[~durations.censored]
    curve = kaplan_meier(durations.seconds, ~durations.censored)
    earliest, latest = _bounding_curves(durations)
    quantiles = {
        name: {
            "seconds": quantile(curve, p),
            "ci95": list(quantile_ci95(curve, p)),
            "bounds": [quantile(earliest, p), quantile(latest, p)],
        }
        for name, p in _QUANTILES.items()
    }
    return {
        "episodes": len(durations.seconds),
        "completed": len(completed),
        "censored": len(durations.seconds) - len(completed),
        **quantiles,
        "min_seconds": float(completed.min()) if completed.size else None,
        "max_seconds": float(completed.max()) if completed.size else None,
        "completed_mean_seconds": fsum(completed.tolist()) / completed.size if completed.size else None,
    }


def curve_items(durations: Durations) -> list[dict[str, Any]]:
    """Return the Kaplan-Meier curve of `durations` as JSON values in the order of time.

    It starts at 0 seconds, where all episodes survive unless some end or are censored there. `low` and `high`
    are None where there is no band.
    """
    curve = kaplan_meier(durations.seconds, ~durations.censored)
    columns = (
        curve.seconds.tolist(),
        curve.surviving.tolist(),
        _nan_as_none(curve.low),
        _nan_as_none(curve.high),
        curve.at_risk.tolist(),
    )
    items = [_item(*values) for values in zip(*columns, strict=True)]
    starts_later = bool(items) and items[0]["seconds"] > 0
    return [_item(0.0, 1.0, 1.0, 1.0, len(durations.seconds)), *items] if starts_later else items


def _item(
    seconds: float, surviving: float, low: float | None, high: float | None, at_risk: int
) -> dict[str, Any]:
    return {"seconds": seconds, "surviving": surviving, "low": low, "high": high, "at_risk": at_risk}


def _bounding_curves(durations: Durations) -> tuple[SurvivalCurve, SurvivalCurve]:
    """Return the curves of the earliest and of the latest durations, which bound that of the true ones.

    The later bound always holds: more survives when events come later and censorings never come. The earlier
    one usually holds: less survives when censorings and events come earlier. The exception is an event that
    moves ahead of a censoring and so finds more at risk: a completed episode that took longer than an open
    one, although its earliest duration is not longer than that of the open one.
    """
    earliest = np.where(np.isnan(durations.earliest), 0.0, durations.earliest)
    latest = np.where(np.isnan(durations.latest), np.inf, durations.latest)
    return kaplan_meier(earliest, ~durations.censored), kaplan_meier(latest, np.isfinite(latest))


def _nan_as_none(values: NDArray[np.float64]) -> list[float | None]:
    return [None if isnan(value) else value for value in values.tolist()]
