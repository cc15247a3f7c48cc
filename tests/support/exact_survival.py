"""The product-limit estimate by its definition, in fractions."""

from __future__ import annotations

from fractions import Fraction


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
