"""The page of how long work took."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Response
from sqlalchemy import Connection

from api.context import snapshot
from api.middleware.etag import mark_of_all
from api.pages.charts.sampling import COLUMNS
from api.pages.charts.survival import MOST_CURVES, at_risk_times, axis_top, draw_survival, step_at
from api.pages.page import blueprint, live_page
from api.pages.params import form_values
from api.pages.text import plain_visible, scalar_words
from recorder.completion.milestones import PERCENTAGES
from recorder.completion.statistics import QUANTILES
from recorder.queries.cohort_curves import curves_answer
from recorder.queries.comparison import StatisticsQuery
from recorder.queries.label_params import PREFIX, key_of
from recorder.store.milestone_times import MOST_EPISODES
from recorder.store.totals import label_names

MOST_NAMES = 50
LONGEST_NAME = 80
"""How much of a value of metadata is shown, in characters."""


@blueprint.get("/completion")
def completion_page() -> Response:
    """Curves and quantiles of the selected episodes."""
    query = _query()
    with snapshot() as read:
        connection = read.connection
        return live_page(mark_of_all(connection), "completion.html", lambda: _values(connection, query))


def _query() -> StatisticsQuery:
    """Return the parameters; a form names a key alone to group by, and compares if a second stretch is
    given."""
    given = form_values()
    group_by = given.get("group_by")
    if isinstance(group_by, str) and key_of(group_by) is None and group_by != "outcome":
        given["group_by"] = f"{PREFIX}.{group_by}"
    if "compare" not in given and ("than_from" in given or "than_to" in given):
        given["compare"] = "time"
    return StatisticsQuery.parse(given)


def _values(connection: Connection, query: StatisticsQuery) -> Mapping[str, Any]:
    answer = curves_answer(connection, query, MOST_CURVES)
    items = [{**item, "name": _name(item, number, query)} for number, item in enumerate(answer["items"])]
    drawn = [item for item in items if item["curve"]]
    curves = [item["curve"] for item in drawn]
    names = [item["name"] for item in drawn]
    times = at_risk_times(curves) if curves else []
    return {
        "query": query,
        "as_of": answer["as_of"],
        "items": items,
        "comparison": answer["comparison"],
        "quantiles": list(QUANTILES),
        "with_milestones": any(item["milestones"] for item in items),
        "fractions": [percentage / 100 for percentage in PERCENTAGES],
        "most_milestones": MOST_EPISODES,
        "chart": draw_survival(curves, names, "survival") if curves else None,
        "data": _data(curves, names) if curves else None,
        "times": times,
        "steps": [[step_at(curve, time) for time in times] for curve in curves],
        "names": names,
        "undrawn": sum(1 for item in items if item["curve"] is None and item["episodes"]),
        "label_names": [name for name in label_names(connection, MOST_NAMES) if plain_visible(name) == name],
        "group_by": query.group_by,
        "is_filtered": _is_filtered(query),
    }


def _is_filtered(query: StatisticsQuery) -> bool:
    chosen = (query.from_, query.to, query.metadata, query.since, query.enrolled, query.compare)
    return any(chosen)


def _name(item: dict[str, Any], number: int, query: StatisticsQuery) -> str:
    if query.compare == "time":
        return ("the first stretch", "the second stretch")[number]
    if query.group_by is None and query.compare is None:
        return "all episodes"
    return "without a value" if item["key"] is None else _shortened(scalar_words(item["key"]))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def _data(curves: list[Any], names: list[str]) -> str:
    """Return what a script reads to tell exact values, as JSON; of very long curves a part."""
    tracks = []
    for curve, name in zip(curves, names, strict=True):
        steps = curve[:: max(1, len(curve) // COLUMNS)]
        tracks.append(
            {
                "name": name,
                "at": [step["seconds"] for step in steps],
                "values": [round(step["surviving"] * 100, 1) for step in steps],
            }
        )
    return json.dumps(
        {"kind": "span", "lo": 0, "hi": axis_top(curves), "unit": "%", "tracks": tracks},
        separators=(",", ":"),
    )
