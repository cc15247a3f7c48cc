"""How long the episodes of a selection lasted, as the JSON members that every reader shows."""

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

    `earliest` and `latest` bound each, NaN where a bound is not known. A `censored` one is that of an open
    episode: it lasts longer than `seconds`, and its `latest` is NaN.
    """

    seconds: NDArray[np.float64]
    earliest: NDArray[np.float64]
    latest: NDArray[np.float64]
    censored: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Iterable[Sequence[float | None]]) -> Durations:
        """Return the durations of rows (seconds, earliest, latest, censored), None where not known.

        Raise ValueError where rows have not four values each.
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
        """Return durations that are all censored or all not, None where a bound is not known."""
        spans = [np.array(column, dtype=np.float64) for column in (seconds, earliest, latest)]
        return cls(spans[0], spans[1], spans[2], np.full(len(seconds), censored))

    @classmethod
    def joined(cls, parts: Sequence[Durations]) -> Durations:
        """Return all durations of one part or more, in their order."""
        columns = [(part.seconds, part.earliest, part.latest, part.censored) for part in parts]
        return cls(*map(np.concatenate, zip(*columns, strict=True)))

    def select(self, mask: NDArray[np.bool_] | NDArray[np.int64]) -> Durations:
        """Return those for which `mask`, as long as the arrays, is true, or those that it numbers."""
        return Durations(self.seconds[mask], self.earliest[mask], self.latest[mask], self.censored[mask])


def statistics_of(durations: Durations) -> dict[str, Any]:
    """Return the counts, quantiles and extremes of `durations` as JSON values, None where not known.

    Minimum, maximum and mean are of completed episodes only; the quantiles are Kaplan-Meier, so that open
    ones count for as long as they were seen. `ci95` says how sure a quantile is given how few episodes
    there are, `bounds` how far it may be off as their starts and ends are not known exactly.
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
    """Return the Kaplan-Meier curve of `durations` as JSON values, item by item in order of time.

    It starts at 0 seconds, where all survive unless something happens there; `low` and `high` are None
    where there is no band.
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

    Less survives if censorings come earlier, and more if they never come and events come later: the later
    bound always holds. Less survives too if events come earlier, unless one moves ahead of a censoring, so
    that it finds more at risk: the earlier bound holds except where a completed episode took longer than an
    open one, but its earliest duration is no longer than that of the open one.
    """
    earliest = np.where(np.isnan(durations.earliest), 0.0, durations.earliest)
    latest = np.where(np.isnan(durations.latest), np.inf, durations.latest)
    return kaplan_meier(earliest, ~durations.censored), kaplan_meier(latest, np.isfinite(latest))


def _nan_as_none(values: NDArray[np.float64]) -> list[float | None]:
    return [None if isnan(value) else value for value in values.tolist()]
