"""Statistics of episode durations, as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.completion.kaplan_meier import kaplan_meier, quantile, quantile_ci95
from recorder.completion.quantile_bounds import Envelopes

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True, eq=False)
class Durations:
    """The durations of episodes, in seconds, as equally long arrays.

    `earliest` and `latest` bound each duration, NaN where a bound is unknown. A `censored` duration is that
    of an open episode up to when it was last seen, with the bounds of that; the true one is longer.
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
    envelopes = _envelopes(durations)
    quantiles = {
        name: {
            "seconds": quantile(curve, p),
            "ci95": list(quantile_ci95(curve, p)),
            "bounds": list(envelopes.bounds(p)),
        }
        for name, p in QUANTILES.items()
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
    are None where there is no band. `surviving_least` and `surviving_most` are the least and the greatest
    share that survives, wherever within its bounds each duration lies.
    """
    if not len(durations.seconds):
        return []
    curve, envelopes = kaplan_meier(durations.seconds, ~durations.censored), _envelopes(durations)
    times, shares = curve.seconds, (curve.surviving, curve.low, curve.high)
    at_risk = curve.at_risk
    if times[0] > 0:
        times = np.insert(times, 0, 0.0)
        shares = (np.insert(shares[0], 0, 1.0), np.insert(shares[1], 0, 1.0), np.insert(shares[2], 0, 1.0))
        at_risk = np.insert(at_risk, 0, len(durations.seconds))
    columns = {
        "seconds": times.tolist(),
        "surviving": shares[0].tolist(),
        "low": _nan_as_none(shares[1]),
        "high": _nan_as_none(shares[2]),
        "surviving_least": envelopes.lowest(times).tolist(),
        "surviving_most": envelopes.highest(times).tolist(),
        "at_risk": at_risk.tolist(),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _envelopes(durations: Durations) -> Envelopes:
    """Return the envelopes; a duration outside its own bounds, as when our clock was set, widens them."""
    seconds, earliest, latest = durations.seconds, durations.earliest, durations.latest
    earliest = np.where(np.isnan(earliest), 0.0, np.minimum(earliest, seconds))
    latest = np.where(np.isnan(latest), np.inf, np.maximum(latest, seconds))
    return Envelopes(earliest, latest, ~durations.censored)


def _nan_as_none(values: NDArray[np.float64]) -> list[float | None]:
    return [None if isnan(value) else value for value in values.tolist()]
