"""The product-limit estimate by its definition, in fractions."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nextafter


def exact_curve(durations: list[tuple[float, bool]]) -> list[tuple[float, Fraction]]:
    """The product-limit estimate at each distinct time, by its definition; pairs are (time, ended)."""
    surviving, curve = Fraction(1), []
    for time in sorted({time for time, _ in durations}):
        at_risk = sum(other >= time for other, _ in durations)
        ended = sum(other == time and event for other, event in durations)
        surviving *= Fraction(at_risk - ended, at_risk)
        curve.append((time, surviving))
    return curve


def exact_quantile(durations: list[tuple[float, bool]], share: Fraction) -> float | None:
    return next((time for time, surviving in exact_curve(durations) if surviving <= 1 - share), None)


def exact_bounds(
    spans: list[tuple[float, float, bool]], share: Fraction
) -> tuple[float | None, float | None]:
    """The least and the greatest quantile over all choices in spans (earliest, latest, ended).

    For each time all durations are placed where the curve at that time is lowest, or highest: what can have
    ended by then ends as late as possible, what must have as early as possible, and the rest later.
    """
    times = sorted({end for earliest, latest, _ in spans for end in (earliest, latest) if end < inf})

    def lowest(time: float) -> list[tuple[float, bool]]:
        return [
            (earliest if not ended else min(latest, time) if earliest <= time else inf, ended)
            for earliest, latest, ended in spans
        ]

    def highest(time: float) -> list[tuple[float, bool]]:
        return [
            (latest if not ended else earliest if latest <= time else inf, ended)
            for earliest, latest, ended in spans
        ]

    least = (time for time in times if _surviving(lowest(nextafter(time, inf)), time) <= 1 - share)
    greatest = (time for time in times if _surviving(highest(time), time) <= 1 - share)
    return next(least, None), next(greatest, None)


def _surviving(durations: list[tuple[float, bool]], time: float) -> Fraction:
    """The curve at `time`, or just after it."""
    return min(
        (share for seconds, share in exact_curve(durations) if seconds <= nextafter(time, inf)),
        default=Fraction(1),
    )
