"""Small pictures in the rows of a table, each with a name that says what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from markupsafe import Markup

from api.pages.charts.svg import element, percent, stepped

SPARK_WIDTH, SPARK_HEIGHT = 110, 26
Trace = Sequence[tuple[datetime, int | None, int | None]]


def draw_progress(counts: Mapping[str, int], total: int | None) -> Markup:
    """Draw a bar with a part for each count of at least 1; what is missing to `total` stays empty."""
    whole = max(total or 0, sum(counts.values()), 1)
    parts, x = [element("rect", _class="rest", width="100%", height="12")], 0.0
    for name, count in counts.items():
        if count > 0:
            share = count / whole
            part = element("rect", _class=f"s-{name}", x=percent(x), width=percent(share), height="12")
            parts.append(part)
            x += share
    shown = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count > 0]
    words = f"{', '.join(shown) or 'no counts'}{'' if total is None else f' of {total:,}'}"
    return element("svg", parts, _class="progress", width="100%", height="12", role="img", aria_label=words)


def draw_spark(trace: Trace) -> Markup:
    """Draw the finished runs over the trace's time; what was not seen is left out."""
    if len(trace) < 2:
        return Markup("")
    first, last = trace[0][0], trace[-1][0]
    length = (last - first).total_seconds()
    known = [total for _, _, total in trace if total] + [done for _, done, _ in trace if done]
    if length <= 0 or not known:
        return Markup("")
    top, paths, points = max(known), [], list(trace)
    place = 0
    while place < len(points):
        end = place
        while end < len(points) and points[end][1] is not None:
            end += 1
        if end > place:
            xs = [_x(at, first, length) for at, _, _ in points[place:end]]
            ys = [_y(done or 0, top) for _, done, _ in points[place:end]]
            stop = _x(points[end][0], first, length) if end < len(points) else xs[-1]
            paths.append(stepped(xs, ys, stop))
        place = end + 1
    path = element("path", d="".join(paths), vector_effect="non-scaling-stroke")
    return element(
        "svg",
        path,
        _class="spark",
        width=SPARK_WIDTH,
        height=SPARK_HEIGHT,
        viewBox=f"0 0 {SPARK_WIDTH} {SPARK_HEIGHT}",
        role="img",
        aria_label=_trend_words(points),
    )


def _trend_words(trace: Trace) -> str:
    """Return what a sparkline shows: when it begins and ends, and how many runs had finished then."""
    seen = [(at, done, total) for at, done, total in trace if done is not None]
    (begun, first, _), (ended, last, total) = seen[0], seen[-1]
    finished = f"{last:,}" if first == last else f"{first:,} to {last:,}"
    of_all = "" if total is None else f" of {total:,}"
    places = [place for place, point in enumerate(trace) if point[1] is not None]
    broken = len(places) <= places[-1] - places[0]
    return (
        f"{finished}{of_all} runs finished from {begun:%Y-%m-%d %H:%M:%S} to {ended:%Y-%m-%d %H:%M:%S}"
        f"{', not seen all the time' if broken else ''}"
    )


def _x(at: datetime, first: datetime, length: float) -> float:
    return round(max(0.0, (at - first).total_seconds()) / length * SPARK_WIDTH, 1)


def _y(done: int, top: int) -> float:
    return round(SPARK_HEIGHT - 2 - done / top * (SPARK_HEIGHT - 4), 1)
