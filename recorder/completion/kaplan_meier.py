"""The Kaplan-Meier curve: the share of episodes that last longer than a time, while some are still open."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_Z95 = NormalDist().inv_cdf(0.975)
ROUNDING = 1e-12
"""By how much S may exceed 1 - p at the quantile p."""


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalCurve:
    """A survival function as arrays over the distinct times at which a duration ended or was censored.

    `seconds` are these times, ascending. `surviving` is the estimated share that lasts longer; it holds until
    the next time, and is 1 before the first. `low` and `high` are its 95 % band, NaN where `surviving` is 0
    and there is no band. `at_risk` counts the durations that had not ended just before the time.
    """

    seconds: NDArray[np.float64]
    surviving: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    at_risk: NDArray[np.int64]


def kaplan_meier(seconds: NDArray[np.float64], events: NDArray[np.bool_]) -> SurvivalCurve:
    """Return the curve of the durations `seconds`, each of which ended (is among `events`) or was censored.

    At equal times events come before censorings. The arrays have the same length; a time can be infinite but
    not NaN. The estimate is that of Kaplan and Meier (1958) with Greenwood's variance (1926). The band is
    that of log(-log S) (Kalbfleisch and Prentice 1980), which stays within [0, 1].
    """
    times, which, counts = np.unique(seconds, return_inverse=True, return_counts=True)
    ended = np.bincount(which[events], minlength=len(times))
    at_risk = len(seconds) - np.cumsum(counts) + counts
    surviving = np.cumprod((at_risk - ended) / at_risk, dtype=np.float64)
    low, high = _band(surviving, ended, at_risk)
    return SurvivalCurve(times, surviving, low, high, at_risk)


def quantile(curve: SurvivalCurve, p: float) -> float | None:
    """Return the time by which the share `p` has ended: the first with S(t) <= 1 - p.

    None if the curve does not get there. S may be larger by 1e-12, to allow for rounding.
    """
    return _first_at_most(curve.surviving, curve, p)


def quantile_ci95(curve: SurvivalCurve, p: float) -> tuple[float | None, float | None]:
    """Return the 95 % confidence interval of `quantile`; an end is None if the band does not get there.

    Its ends are the quantiles of the two edges of the band (Brookmeyer and Crowley 1982).
    """
    return _first_at_most(curve.low, curve, p), _first_at_most(curve.high, curve, p)


def _first_at_most(shares: NDArray[np.float64], curve: SurvivalCurve, p: float) -> float | None:
    reached = np.flatnonzero(shares <= 1 - p + ROUNDING)
    return float(curve.seconds[reached[0]]) if reached.size else None


def _band(
    surviving: NDArray[np.float64], ended: NDArray[np.int64], at_risk: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the band. Where S is 1 the exponents are NaN, but 1 to any power is 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(ended / (at_risk * (at_risk - ended)))
        exponent = np.exp(_Z95 * np.sqrt(variance) / np.log(surviving))
        return surviving ** (1 / exponent), surviving**exponent
