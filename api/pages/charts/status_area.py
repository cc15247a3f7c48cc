"""The chart of a group: runs by status as a stacked step area, with what was not seen or is uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from api.pages.charts.sampling import covered, merged, sampled
from api.pages.charts.scale import number_ticks, round_top, share_of, time_ticks
from api.pages.charts.svg import STRETCHED, TOP, Plot, band, element, hatching, percent, stepped
from recorder.queries.group_chart import SERIES, GroupChart, TimeSpan

HEIGHT = 300
STACKED = ("completed", "failed", "cancelled", "action_required", "cancelling", "running", "queued", "other")
"""The series from the bottom up: what has finished comes first, so that its edge is the progress."""
LEAST_GAP = 0.002
"""How wide a gap is drawn at least, as a share of the chart."""
MOST_COVERED = 0.25
"""Bands of uncertainty that cover more than this share of the time that was seen are left out."""
MOST_MARKED = 40
"""Of more episodes than this, none is marked: the marks would hide the chart."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A moment to mark, in Unix milliseconds, with the window that it lies in."""

    at: float
    earliest: float | None
    latest: float | None
    label: str
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class StatusArea:
    """A drawn chart. `points` are the drawn steps: each has a time in Unix milliseconds, then a count for
    each of STACKED, None where nothing was seen. `bands` says what became of the windows of uncertainty:
    `shown`, `hidden` because they would cover most of the chart, or `none`."""

    svg: Markup
    points: list[list[float | None]]
    is_sampled: bool
    bands: str


def draw_status_area(chart: GroupChart, markers: Sequence[Marker], uid: str, name: str) -> StatusArea:
    """Draw a group's chart."""
    lo, hi = chart.lo, chart.hi
    values = chart.counts[[SERIES.index(status) for status in STACKED]]
    edges = np.cumsum(values, axis=0)
    places = sampled(chart.times, edges, lo, hi)
    top = round_top(float(edges[-1][places].max()) if len(places) else 1.0)
    windows = merged(chart.windows, lo, hi)
    unseen = merged([(span.start, span.end) for span in (*chart.gaps, *chart.unwatched)], lo, hi)
    seen = 1 - covered(unseen, lo, hi)
    shown = bool(windows) and covered(windows, lo, hi) <= MOST_COVERED * seen
    plot = Plot(
        name=name,
        height=HEIGHT,
        rows=number_ticks(top),
        columns=time_ticks(lo, hi),
        curves=_areas(chart, edges, places, top),
        over=Markup("").join(
            [
                *(_bands(windows, lo, hi) if shown else ()),
                *_spans(chart.unwatched, lo, hi, "unwatched", fill=None),
                *gap_bands(chart.gaps, lo, hi, uid, HEIGHT),
                *_markers(markers, lo, hi),
            ]
        ),
        defs=hatching(uid),
        extent=(lo, hi),
    )
    return StatusArea(
        svg=plot.draw(uid, _description(chart, values)),
        points=_points(chart, values, places),
        is_sampled=len(places) < _count(chart, lo, hi),
        bands="shown" if shown else "hidden" if windows else "none",
    )


def gap_bands(gaps: Sequence[TimeSpan], lo: float, hi: float, uid: str, height: int) -> list[Markup]:
    """Draw gaps of one row, with those joined that are too close to be told apart; none vanishes."""
    causes = dict.fromkeys(gap.label for gap in gaps)
    return [
        band(
            "gap",
            share_of(start, lo, hi),
            share_of(end, lo, hi),
            least=LEAST_GAP,
            height=height,
            fill=f"url(#{uid}-hatching)",
            title=f"not seen: {cause.replace('_', ' ')}",
            data_cause=cause,
        )
        for cause in causes
        for start, end in merged([(gap.start, gap.end) for gap in gaps if gap.label == cause], lo, hi)
    ]


def _areas(chart: GroupChart, edges: NDArray[np.float64], places: NDArray[np.int64], top: float) -> Markup:
    """Draw the areas, each from the bottom up to its edge, the highest one first."""
    xs = np.round(
        (chart.times[places].clip(chart.lo) - chart.lo) / (chart.hi - chart.lo) * STRETCHED, 2
    ).tolist()
    paths = []
    for status, edge in reversed(list(zip(STACKED, edges, strict=True))):
        if not edge[places].any():
            continue
        ys = np.round((1 - edge[places] / top) * HEIGHT, 2).tolist()
        line = stepped(xs, ys, STRETCHED)
        paths.append(element("path", _class=f"area s-{status}", d=f"{line}V{HEIGHT}H{xs[0]:g}Z"))
    return Markup("").join(paths)


def _bands(windows: Sequence[tuple[float, float]], lo: float, hi: float) -> list[Markup]:
    return [
        band("uncertain", share_of(start, lo, hi), share_of(end, lo, hi), least=0.001, height=HEIGHT)
        for start, end in windows
    ]


def _spans(spans: Sequence[TimeSpan], lo: float, hi: float, name: str, fill: str | None) -> list[Markup]:
    return [
        band(
            name,
            share_of(span.start, lo, hi),
            share_of(span.end, lo, hi),
            least=0.001,
            height=HEIGHT,
            fill=fill,
            title=f"not watched: {span.label}",
        )
        for span in spans
        if span.end >= lo and span.start <= hi
    ]


def _markers(markers: Sequence[Marker], lo: float, hi: float) -> list[Markup]:
    visible = [marker for marker in markers if lo <= marker.at <= hi]
    if len([marker for marker in visible if marker.kind != "milestone"]) > 2 * MOST_MARKED:
        return []
    found = []
    for marker in visible:
        x = percent(share_of(marker.at, lo, hi))
        title = element("title", marker.label)
        if marker.kind == "milestone":
            found.append(element("circle", title, _class="milestone", cx=x, cy=TOP - 8, r="4"))
        else:
            line = element("line", x1=x, x2=x, y1=TOP - 12, y2=TOP + HEIGHT)
            found.append(element("g", [title, line], _class=f"episode {marker.kind}"))
        if marker.earliest is not None and marker.latest is not None and marker.kind != "milestone":
            start, end = share_of(marker.earliest, lo, hi), share_of(marker.latest, lo, hi)
            found.append(band("window", start, end, least=0.001, y=TOP - 12, height=8))
    return found


def _points(
    chart: GroupChart, values: NDArray[np.float64], places: NDArray[np.int64]
) -> list[list[float | None]]:
    return [
        [chart.times[place], *(values[:, place].tolist() if chart.seen[place] else [None] * len(STACKED))]
        for place in places.tolist()
    ]


def _count(chart: GroupChart, lo: float, hi: float) -> int:
    return int(((chart.times >= lo) & (chart.times <= hi)).sum())


def _description(chart: GroupChart, values: NDArray[np.float64]) -> str:
    seen = np.flatnonzero(chart.seen)
    if not len(seen):
        return "The group was not seen in this stretch of time."
    last = values[:, seen[-1]].tolist()
    counts = ", ".join(
        f"{int(count)} {status.replace('_', ' ')}"
        for status, count in zip(STACKED, last, strict=True)
        if count
    )
    gaps = "no gap" if not chart.gaps else "1 gap" if len(chart.gaps) == 1 else f"{len(chart.gaps)} gaps"
    return f"{len(seen)} statuses, {gaps}. At the end: {counts or 'no runs'}. A table follows."
