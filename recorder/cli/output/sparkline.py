"""The recent progress of a group as one line of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recorder.store.traces import TracePoint

WIDTH = 40
BLOCKS = "▁▂▃▄▅▆▇█"
UNSEEN = "×"


def sparkline(points: Sequence[TracePoint], until: datetime) -> str:
    """Return the share of the runs that had finished in even steps of time from the first point to `until`.

    Each block is what held at the end of its step, UNSEEN where that was not seen. It is "" where there is
    nothing to draw, since no time has passed or no runs are known.
    """
    most = max((max(point.total or 0, point.finished or 0) for point in points), default=0)
    if not most or until <= points[0].at:
        return ""
    step = (until - points[0].at) / WIDTH
    cells, place = [], 0
    for number in range(1, WIDTH + 1):
        while place + 1 < len(points) and points[place + 1].at <= points[0].at + number * step:
            place += 1
        finished = points[place].finished
        cells.append(UNSEEN if finished is None else BLOCKS[finished * (len(BLOCKS) - 1) // most])
    return "".join(cells)
