"""Scales and their ticks: round numbers, and times that people would choose. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, floor, log10

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_TIME_STEPS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(_MINUTE * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * hours for hours in (1, 2, 3, 6, 12)),
    *(_DAY * days for days in (1, 2, 7, 14, 30, 90, 365, 1825)),
)
_UNITS = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1.0, "s"))
_MULTIPLES = (1, 2, 2.5, 5, 10)
_WHOLE_MULTIPLES = (1, 2, 5, 10)
"""For steps below 10, which are between counts: there is no half run."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, as a share of its length."""

    share: float
    label: str


def share_of(value: float, lo: float, hi: float) -> float:
    """Return where `value` lies from `lo` (0) to `hi` (1)."""
    return (value - lo) / (hi - lo)


def round_top(value: float) -> float:
    """Return the end of an axis from 0 that shows `value`: a whole number of its steps, at least 1."""
    step = _round_step(max(value, 1.0))
    return ceil(max(value, 1.0) / step - 1e-9) * step


def number_ticks(top: float) -> list[Tick]:
    """Return ticks from 0 to `top`, which is at least 1; whole numbers where the axis is short."""
    step = max(1.0, _round_step(top))
    return [
        Tick(step * number / top, compact(step * number)) for number in range(floor(top / step + 1e-9) + 1)
    ]


def time_ticks(lo: float, hi: float, most: int = 6) -> list[Tick]:
    """Return ticks from `lo` to `hi`, in Unix milliseconds, at times that are round in UTC."""
    seconds = (hi - lo) / 1000
    step = next((step for step in _TIME_STEPS if seconds / step <= most), _TIME_STEPS[-1])
    first = ceil(lo / 1000 / step - 1e-9)
    ticks: list[Tick] = []
    number = first
    while number * step * 1000 <= hi and len(ticks) <= 2 * most:
        moment = _EPOCH + timedelta(seconds=number * step)
        label = _label(moment, step, with_date=number == first)
        ticks.append(Tick(share_of(number * step * 1000, lo, hi), label))
        number += 1
    return ticks


def span_ticks(top_seconds: float, most: int = 8) -> list[Tick]:
    """Return ticks for durations from 0 to `top_seconds`."""
    step = next((step for step in _TIME_STEPS if top_seconds / step <= most), _TIME_STEPS[-1])
    return [
        Tick(number * step / top_seconds, span_words(number * step))
        for number in range(floor(top_seconds / step + 1e-9) + 1)
    ]


def span_words(seconds: float) -> str:
    """Return a duration in its two largest units."""
    sign, seconds = ("−" if seconds < 0 else ""), abs(seconds)
    if seconds < 1:
        return f"{sign}{seconds:.3g} s" if seconds else "0 s"
    rounded = round(seconds, 1) if seconds < _MINUTE else round(seconds)
    if rounded < _MINUTE:
        return f"{sign}{rounded:g} s"
    for size, name, small_size, small in _UNITS:
        if rounded >= size:
            rest = int(rounded % size // small_size)
            return f"{sign}{int(rounded // size)} {name}" + (f" {rest} {small}" if rest else "")
    raise AssertionError("a duration of a minute or more has a unit")


def compact(value: float) -> str:
    """Return a number for an axis: 1200000 as 1.2M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            unit = 1e3 if suffix == "k" else size
            return f"{value / unit:g}{suffix}"
    return f"{value:g}"


def _round_step(top: float, parts: int = 5) -> float:
    magnitude = 10.0 ** floor(log10(top / parts))
    multiples = _WHOLE_MULTIPLES if magnitude < 10 else _MULTIPLES
    return next(each * magnitude for each in multiples if each * magnitude >= top / parts * (1 - 1e-9))


def _label(moment: datetime, step: float, *, with_date: bool) -> str:
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    if step >= 365 * _DAY:
        return f"{moment:%b %Y}"
    if step >= _DAY:
        return f"{moment.day} {moment:%b}" + (f" {moment.year}" if with_date else "")
    if step < 1:
        time = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
    else:
        time = f"{moment:%H:%M:%S}" if step < _MINUTE else f"{moment:%H:%M}"
    return f"{moment.day} {moment:%b} {time}" if with_date or midnight or step >= 6 * _HOUR else time
