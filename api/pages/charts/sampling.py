"""Sample long series for the screen, without losing what stands out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COLUMNS = 800
"""Into how many columns a chart is divided: about as many as it has pixels on a wide screen."""


def sampled(
    times: NDArray[np.float64], values: NDArray[np.float64], lo: float, hi: float, columns: int = COLUMNS
) -> NDArray[np.int64]:
    """Return the places of the points to draw of a step function from `lo` to `hi`, ascending.

    Of each column, these are the first and the last point, and for each row of `values` the lowest and the
    highest: no spike vanishes, and no value is invented. All points are kept while there are few. The point
    in force at `lo` is kept.
    """
    first = max(int(np.searchsorted(times, lo, side="right")) - 1, 0)
    end = int(np.searchsorted(times, hi, side="right"))
    places = np.arange(first, end)
    if len(places) <= 2 * columns:
        return places
    column = ((times[places].clip(lo, hi) - lo) / (hi - lo) * columns).astype(np.int64).clip(max=columns - 1)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(column)) + 1])
    ends = np.concatenate([starts[1:] - 1, [len(places) - 1]])
    kept = [starts, ends]
    for row in values:
        # Sorted by column and then by value, the extremes of a column stand at its two ends.
        order = np.lexsort((row[places], column))
        kept += [order[starts], order[ends]]
    return np.asarray(places[np.unique(np.concatenate(kept))])


def merged(
    stretches: Sequence[tuple[float, float]] | NDArray[np.float64],
    lo: float,
    hi: float,
    columns: int = COLUMNS,
) -> list[tuple[float, float]]:
    """Return stretches clipped to `lo` and `hi`, with those joined that are less than a column apart.

    Every stretch lies in one of those returned. They are in the order of their start.
    """
    table = np.asarray(stretches, dtype=np.float64).reshape(-1, 2)
    table = table[(table[:, 0] <= hi) & (table[:, 1] >= lo)].clip(lo, hi)
    if not len(table):
        return []
    starts, ends = table[np.argsort(table[:, 0], kind="stable")].T
    reached = np.maximum.accumulate(ends)
    apart = starts[1:] - reached[:-1] > (hi - lo) / columns
    firsts = np.concatenate([[True], apart])
    lasts = np.concatenate([apart, [True]])
    return list(zip(starts[firsts].tolist(), reached[lasts].tolist(), strict=True))


def covered(stretches: Sequence[tuple[float, float]], lo: float, hi: float) -> float:
    """Return which share of `lo` to `hi` the stretches cover, which do not overlap."""
    return sum(max(0.0, min(end, hi) - max(start, lo)) for start, end in stretches) / (hi - lo)
