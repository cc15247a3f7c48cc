"""The chart of a group with what belongs to it: its legend, its table, and the links that zoom. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup

from api.pages.charts.scale import span_words
from api.pages.charts.status_area import STACKED, Marker, StatusArea, draw_status_area
from api.pages.text import unix_millis
from recorder.ledger.timestamps import format_time
from recorder.queries.group_chart import SERIES, GroupChart

TABLE_ROWS = 60
"""How many rows a chart's table has at most; the exports have all."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class GroupFigure:
    """A chart for a template. `data` is what a script reads to tell exact values, as JSON. `rows` are the
    newest rows of its table, each with a time and its counts, None where nothing was seen; `gaps` are the
    gaps with their ends and causes. `links` zoom: their names and the stretches of time they show."""

    svg: Markup
    data: str
    statuses: list[str]
    rows: list[tuple[str, list[int] | None]]
    gaps: list[tuple[str, str, str, str]]
    links: dict[str, tuple[str, str] | None]
    bands: str
    is_sampled: bool
    is_cut: bool
    entries: int
    is_empty: bool


def group_figure(chart: GroupChart, episodes: list[dict[str, Any]], exact: str) -> GroupFigure:
    """Draw a group's chart, with the episodes of its completion marked.

    `exact` is the address at which a script can ask for the status at a moment.
    """
    area = draw_status_area(chart, _markers(episodes), "runs", "Runs by status over time")
    used = [status for status in STACKED if chart.counts[SERIES.index(status)].any()]
    return GroupFigure(
        svg=area.svg,
        data=_data(area, used, exact),
        statuses=used,
        rows=_rows(area, used),
        gaps=[
            (_time(gap.start), _time(gap.end), gap.label, span_words((gap.end - gap.start) / 1000))
            for gap in chart.gaps
        ][-TABLE_ROWS:],
        links=_links(chart),
        bands=area.bands,
        is_sampled=area.is_sampled,
        is_cut=chart.cut,
        entries=chart.entries,
        is_empty=not chart.seen.any() and not chart.gaps,
    )


def _markers(episodes: list[dict[str, Any]]) -> list[Marker]:
    found = []
    for episode in episodes:
        number = episode["number"]
        found.append(_marker(episode["started"], f"episode {number} started", "started"))
        if episode["completed"] is not None:
            words = f"episode {number} ended: {episode['outcome']}"
            found.append(_marker(episode["completed"], words, "ended"))
        for milestone in episode["milestones"] or []:
            if milestone["at"] is not None and milestone["fraction"] < 1:
                words = f"{milestone['fraction']:.0%} of the runs of episode {number} had finished"
                found.append(_marker(milestone, words, "milestone"))
    return found


def _marker(moment: dict[str, Any], label: str, kind: str) -> Marker:
    earliest, latest = moment["earliest"], moment["latest"]
    return Marker(
        unix_millis(moment["at"]),
        None if earliest is None else unix_millis(earliest),
        None if latest is None else unix_millis(latest),
        label,
        kind,
    )


def _data(area: StatusArea, used: list[str], exact: str) -> str:
    places = [STACKED.index(status) for status in used]
    return json.dumps(
        {
            "kind": "time",
            "sampled": area.is_sampled,
            "exact": exact,
            "at": [point[0] for point in area.points],
            "tracks": [
                {"name": status.replace("_", " "), "values": [point[1 + place] for point in area.points]}
                for status, place in zip(used, places, strict=True)
            ],
        },
        separators=(",", ":"),
    )


def _rows(area: StatusArea, used: list[str]) -> list[tuple[str, list[int] | None]]:
    places = [1 + STACKED.index(status) for status in used]
    return [
        (_time(point[0] or 0.0), None if point[1] is None else [int(point[place] or 0) for place in places])
        for point in area.points[: -TABLE_ROWS - 1 : -1]
    ]


def _links(chart: GroupChart) -> dict[str, tuple[str, str] | None]:
    lo, hi = chart.lo, chart.hi
    length, middle = hi - lo, (hi + lo) / 2
    stretches = {
        "zoom in": (middle - length / 4, middle + length / 4),
        "zoom out": (middle - length, middle + length),
        "earlier": (lo - length / 2, hi - length / 2),
        "later": (lo + length / 2, hi + length / 2),
    }
    return {name: (_time(start), _time(end)) for name, (start, end) in stretches.items()}


def _time(milliseconds: float) -> str:
    return format_time(_EPOCH + timedelta(milliseconds=milliseconds))
