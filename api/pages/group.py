"""The page of one group."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Response
from pydantic import Field

from api.context import Snapshot, context, snapshot
from api.middleware.etag import mark_of_group
from api.pages.commands import commands_for
from api.pages.group_figure import group_figure
from api.pages.page import address_with, blueprint, hidden_fields, live_page, root
from api.pages.params import form_query
from recorder.ledger.entries import Kind
from recorder.ledger.transitions import open_gap
from recorder.queries.as_of import require_past, status_at_answer
from recorder.queries.completion import completion_answer
from recorder.queries.eta import eta_of
from recorder.queries.gaps import coverage_body
from recorder.queries.group_chart import group_chart
from recorder.queries.groups import group_body, require_group
from recorder.queries.history import HistoryQuery
from recorder.queries.logbook import logbook_page
from recorder.queries.paging import group_path
from recorder.queries.param_types import LIMIT_WORDS, ORDER_WORDS, LimitParam, OrderParam, TimeParam
from recorder.store.groups import GroupItem
from recorder.store.notes import newest_notes

LOGBOOK_LINES = 25
SHOWN_EPISODES = 20
_CERTAINTIES = {
    "observed": "Seen: this status was seen before and after, or at that very moment.",
    "between": "It changed somewhere between two polls: it was this status or the next one.",
    "gap": "Not seen: the moment lies in a gap, between these two statuses.",
    "open": "The last known status; no response has followed yet.",
    "before": "Before the first response.",
    "not_watched": "The group was not being watched.",
}


class GroupPageQuery(HistoryQuery):
    """Which stretch of a group's time to show, and the moment to look at."""

    order: OrderParam = Field("desc", description=ORDER_WORDS)
    limit: LimitParam = Field(LOGBOOK_LINES, description=LIMIT_WORDS)
    at: TimeParam = Field(None, description="a moment in the past")


@blueprint.get("/groups/<taskgroup_id>")
def group_page(taskgroup_id: str) -> Response:
    """A group's chart, logbook and completion."""
    query = form_query(GroupPageQuery)
    with snapshot() as read:
        found = require_group(read.connection, taskgroup_id)
        if query.at is not None:
            require_past(query.at, read.now)
        eta = eta_of(read.connection, found, context().cohort_key)
        # While a gap is open, it grows on the chart.
        moment = read.now.replace(second=read.now.second // 10 * 10, microsecond=0)
        growing = moment if open_gap(found.watch, read.now) is not None else None
        mark = mark_of_group(found, read.now, eta, growing)
        return live_page(mark, "group.html", lambda: _values(read, found, query, eta))


def _values(
    read: Snapshot, found: GroupItem, query: GroupPageQuery, eta: dict[str, Any]
) -> Mapping[str, Any]:
    connection, now, watch = read.connection, read.now, found.watch
    completion = completion_answer(connection, found, eta)
    logbook = logbook_page(connection, watch, query, now)
    chart = group_chart(connection, watch, query.from_, query.to, now)
    metadata = (body := group_body(found, eta, now))["metadata"]
    return {
        "group": body,
        "note": newest_notes(connection, [watch.taskgroup_id]).get(watch.taskgroup_id),
        "labels": list(metadata.items()) if isinstance(metadata, dict) else None,
        "figure": group_figure(chart, completion["episodes"], _status_address(watch.taskgroup_id)),
        "query": query,
        "as_of": _as_of(read, found, query.at),
        "completion": completion,
        "episodes": completion["episodes"][::-1][:SHOWN_EPISODES],
        "coverage": coverage_body(connection, watch),
        "logbook": logbook.lines,
        "next": None if logbook.cursor is None else address_with(cursor=logbook.cursor),
        "first": address_with(cursor=None) if query.cursor is not None else None,
        "kinds": list(Kind),
        "commands": commands_for(watch.taskgroup_id),
        "hidden_fields": hidden_fields,
    }


def _status_address(taskgroup_id: str) -> str:
    return f"{root()}{group_path(taskgroup_id).removeprefix('/')}/status"


def _as_of(read: Snapshot, found: GroupItem, at: datetime | None) -> dict[str, Any] | None:
    if at is None:
        return None
    answer = status_at_answer(read.connection, found.watch, at, read.now)
    return {**answer, "meaning": _CERTAINTIES[answer["certainty"]]}
