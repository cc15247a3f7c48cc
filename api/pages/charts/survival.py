"""The chart of completion: Kaplan-Meier curves with their confidence bands and envelopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from api.pages.charts.sampling import sampled
from api.pages.charts.scale import Tick, span_ticks, span_words
from api.pages.charts.svg import STRETCHED, Plot, element, stepped

SURVIVAL_HEIGHT = 320
MOST_CURVES = 6
"""As many as there are colours that colour-blind people can tell apart."""
_SHARES = [Tick(share, f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
AT_RISK_TIMES = 6

CurveSteps = Sequence[dict[str, Any]]


def axis_top(curves: Sequence[CurveSteps]) -> float:
    """Return where the axis of durations ends, in seconds.

    That is the last drop of any curve and a little more, so that one very long open episode does not squeeze
    the rest; the last step if no curve drops.
    """
    drops = [0.0]
    for curve in curves:
        shares = [1.0, *(step["surviving"] for step in curve)]
        drops += [
            step["seconds"] for before, step in zip(shares, curve, strict=False) if step["surviving"] < before
        ]
    top = max(drops) * 1.05 or max((curve[-1]["seconds"] for curve in curves if curve), default=0.0)
    return max(top, 1e-3)


def draw_survival(curves: Sequence[CurveSteps], names: Sequence[str], uid: str) -> Markup:
    """Draw curves that are not empty, at most MOST_CURVES, one for each of `names`."""
    top = axis_top(curves)
    parts = [_curve(curve, number, top) for number, curve in enumerate(curves)]
    plot = Plot(
        name="Share of episodes that last longer",
        height=SURVIVAL_HEIGHT,
        rows=_SHARES,
        columns=span_ticks(top),
        # All bands lie behind all lines.
        curves=Markup("").join([*(behind for behind, _ in parts), *(line for _, line in parts)]),
    )
    described = "; ".join(f"{name}: {_median(curve)}" for name, curve in zip(names, curves, strict=True))
    return plot.draw(uid, f"Kaplan-Meier curves over {span_words(top)}. {described}. A table follows.")


def step_at(curve: CurveSteps, seconds: float) -> dict[str, Any] | None:
    """Return the shares that hold at a duration and how many episodes are `at_risk` then; None beyond the end
    of a curve that has not come down to 0."""
    passed = [step for step in curve if step["seconds"] <= seconds]
    following = [step["at_risk"] for step in curve if step["seconds"] >= seconds]
    if not passed or (not following and passed[-1]["surviving"] > 0):
        return None
    return {**passed[-1], "at_risk": following[0] if following else 0}


def at_risk_times(curves: Sequence[CurveSteps]) -> list[float]:
    """Return the durations, in seconds, for which a table of episodes at risk is useful."""
    top = axis_top(curves)
    return [top * number / (AT_RISK_TIMES - 1) for number in range(AT_RISK_TIMES)]


def _curve(curve: CurveSteps, number: int, top: float) -> tuple[Markup, Markup]:
    """Return the areas and the line of a curve; it ends where nothing was observed any more."""
    seconds = np.array([step["seconds"] for step in curve])
    rows = {
        name: _column(curve, name)
        for name in ("surviving", "low", "high", "surviving_least", "surviving_most")
    }
    places = sampled(seconds, np.vstack([rows["surviving"], rows["surviving_least"]]), 0.0, top)
    xs = np.round(seconds[places] / top * STRETCHED, 2).tolist()
    end = min(float(seconds[-1]), top) / top * STRETCHED
    end = float(STRETCHED) if rows["surviving"][-1] == 0 else round(end, 2)
    ys = {name: _heights(values[places]) for name, values in rows.items()}
    behind = Markup("").join(
        element("path", _class=f"{name} k{number}", d=_between(xs, ys[lower], ys[upper], end))
        for name, lower, upper in (
            ("envelope", "surviving_least", "surviving_most"),
            ("confidence", "low", "high"),
        )
    )
    return behind, element("path", _class=f"curve k{number}", d=stepped(xs, ys["surviving"], end))


def _column(curve: CurveSteps, name: str) -> NDArray[np.float64]:
    """Return a member of every step; where there is no band any more, both of its edges are at 0."""
    return np.array([0.0 if step[name] is None else step[name] for step in curve], dtype=np.float64)


def _heights(shares: NDArray[np.float64]) -> list[float]:
    heights: list[float] = np.round((1 - shares) * SURVIVAL_HEIGHT, 2).tolist()
    return heights


def _between(xs: Sequence[float], lower: Sequence[float], upper: Sequence[float], end: float) -> str:
    """Return the area between two lines: along the upper one, and back along the lower one."""
    back = [f"V{lower[-1]:g}"]
    for place in range(len(xs) - 1, 0, -1):
        back.append(f"H{xs[place]:g}V{lower[place - 1]:g}")
    return f"{stepped(xs, upper, end)}{''.join(back)}H{xs[0]:g}Z"


def _median(curve: CurveSteps) -> str:
    reached = [step["seconds"] for step in curve if step["surviving"] <= 0.5]
    return f"half within {span_words(reached[0])}" if reached else "half not reached"
