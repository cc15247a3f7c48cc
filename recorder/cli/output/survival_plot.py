"""Draw survival curves and bars with block characters, for a terminal. Pure.

A curve is a list of steps as returned by `curve_items`; each holds until the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any

from recorder.cli.output.format import duration_text

Steps = Sequence[dict[str, Any]]

_EIGHTHS_UP = " ▁▂▃▄▅▆▇█"
_EIGHTHS_RIGHT = " ▏▎▍▌▋▊▉█"
_UNKNOWN = "·"
_AXIS_WIDTH = len("100 % ┤")


def axis_end(curves: Iterable[Steps]) -> float:
    """Return the end of a common time axis for `curves`, in seconds.

    The axis ends at the last drop of any curve, so that a very long open episode does not squeeze the
    rest. If no curve drops, it ends at the last step.
    """
    curves = list(curves)
    drops = [
        step["seconds"]
        for steps in curves
        for before, step in zip([1.0, *(step["surviving"] for step in steps)], steps, strict=False)
        if step["surviving"] < before
    ]
    return max(drops, default=max((steps[-1]["seconds"] for steps in curves if steps), default=0.0))


def samples(steps: Steps, until_seconds: float, count: int) -> list[float | None]:
    """Return the surviving share at `count` (at least 2) moments, evenly from 0 to `until_seconds`.

    None after the last step of a curve that has not dropped to 0, where nothing was observed.
    """
    times = [step["seconds"] for step in steps]
    shares: list[float | None] = []
    for number in range(count):
        at = until_seconds * (number / (count - 1))
        passed = bisect_right(times, at)
        share = steps[passed - 1]["surviving"] if passed else 1.0
        shares.append(None if not times or (at > times[-1] and share > 0) else share)
    return shares


def strip(steps: Steps, until_seconds: float, width: int) -> str:
    """Return a curve as a line of blocks: full for 100 %, blank for 0 %, a dot for unknown."""
    return "".join(_column(share, 1)[0] for share in samples(steps, until_seconds, width))


def picture(steps: Steps, until_seconds: float, width: int, height: int) -> list[str]:
    """Return a curve as `height` lines (an even number) of `width`, followed by two lines of time axis."""
    columns = [_column(share, height) for share in samples(steps, until_seconds, width - _AXIS_WIDTH)]
    rows = ["".join(column[row] for column in columns) for row in range(height)]
    lines = []
    for number, row in enumerate(rows):
        label = f"{100 - 100 * number / height:.0f} % ┤" if number % 2 == 0 else "│"
        lines.append(f"{label:>{_AXIS_WIDTH}}{row}")
    lines.append(f"{'0 % └':>{_AXIS_WIDTH}}{'─' * len(columns)}")
    return [*lines, " " * _AXIS_WIDTH + time_axis(until_seconds, len(columns))]


def time_axis(until_seconds: float, width: int) -> str:
    """Return the labels of a time axis from 0, at its start, middle and end."""
    end = duration_text(until_seconds)
    middle = duration_text(until_seconds / 2)
    half = f"0{middle:>{width // 2 + len(middle) // 2}}"
    if len(half) + len(end) + 1 > width:
        half = "0"
    return f"{half}{end:>{width - len(half)}}"


def bar(share: float, width: int) -> str:
    """Return a bar that fills `share` of `width`, rounded up to an eighth of a character."""
    eighths = ceil(share * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS_RIGHT[eighths % 8].strip()


def _column(share: float | None, height: int) -> str:
    """Return one column from the top down, rounded up to an eighth of a line."""
    if share is None:
        return " " * (height - 1) + _UNKNOWN
    eighths = ceil(share * height * 8)
    full, rest = divmod(eighths, 8)
    blocks = "█" * full + (_EIGHTHS_UP[rest] if rest else "")
    return blocks.ljust(height)[::-1]
