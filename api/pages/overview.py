"""The page of all groups."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from flask import Response, request

from api.context import Snapshot, context, snapshot
from api.middleware.etag import etag_of, mark_of_groups
from api.middleware.negotiation import require_one_of
from api.pages.charts.small import draw_progress, draw_spark
from api.pages.page import HTML, address_with, blueprint, live_page
from api.pages.params import form_values
from api.responses import json_response
from recorder.ledger.status_fields import RUN_STATUSES, Phase, is_count
from recorder.ledger.watch import WatchState
from recorder.queries.formats import JSON
from recorder.queries.label_params import key_of
from recorder.queries.overview import (
    MOST_COUNTED,
    OverviewPage,
    OverviewQuery,
    overview_page,
    overview_rows,
    totals_answer,
)
from recorder.store.data_cache import kept
from recorder.store.group_order import GroupOrder

_ENTRY_POINTS = {
    "groups": "api/v1/groups",
    "completion": "api/v1/completion",
    "events": "api/v1/events",
    "openapi": "openapi.json",
    "docs": "docs",
    "ready": "readyz",
}
_BAR_ORDER = ("completed", "failed", "cancelled", "action_required", "cancelling", "running", "queued")
_SORTS = {
    GroupOrder.NEWEST: "newest first",
    GroupOrder.OLDEST: "oldest first",
    GroupOrder.CHANGED: "changed last",
    GroupOrder.UNSEEN: "not seen longest",
    GroupOrder.ID: "by id",
}


@blueprint.get("/")
def overview() -> Response:
    """All groups, or for a program that wants JSON the addresses of the API, relative to this one."""
    if require_one_of([HTML, JSON]) == JSON:
        response = json_response(_ENTRY_POINTS)
    else:
        query = _query()
        with snapshot() as read:
            response = _page(query, read)
    response.vary.add("Accept")
    return response


def _query() -> OverviewQuery:
    """Return the parameters; the form sends a new filter by metadata as `key` and `value`."""
    given = form_values()
    key, value = given.pop("key", None), given.pop("value", None)
    if key is not None and value is not None:
        given[f"metadata.{key}"] = value
    return OverviewQuery.parse(given)


def _page(query: OverviewQuery, read: Snapshot) -> Response:
    here, connection, now = context(), read.connection, read.now

    @cache
    def page() -> OverviewPage:
        return overview_page(connection, query, now, here.cohort_key)

    def mark_of_page() -> str:
        return etag_of(mark_of_groups(page().groups, now, page().matching, page().etas))

    totals = totals_answer(connection, now, here.rate)
    # As long as nothing is written, only gaps that open change the page, and the totals tell of these.
    groups = kept(connection, ("overview", repr(query)), mark_of_page)
    return live_page(
        f"{groups} {_steady(totals)}", "overview.html", lambda: _values(query, read, page(), totals)
    )


def _steady(totals: dict[str, Any]) -> dict[str, Any]:
    """Return of the totals what the page shows, without what changes with every heartbeat."""
    recorders = [
        {name: recorder[name] for name in ("recorder_id", "host", "alive", "recording", "limited_by")}
        for recorder in totals["recorders"]
    ]
    late = {**totals["late"], "late_seconds": None, "due_polls": None}
    return {**totals, "recorders": recorders, "late": late, "polls_per_second": _rate(totals)}


def _rate(totals: dict[str, Any]) -> str | None:
    rate = totals["polls_per_second"]
    return None if rate is None else f"{rate:.1f}"


def _values(
    query: OverviewQuery, read: Snapshot, page: OverviewPage, totals: dict[str, Any]
) -> Mapping[str, Any]:
    return {
        "query": query,
        "totals": _steady(totals),
        "rows": [_row(row) for row in overview_rows(read.connection, page, read.now)],
        "matching": min(page.matching, MOST_COUNTED),
        "is_capped": page.matching > MOST_COUNTED,
        "next": page.next,
        "first": address_with(cursor=None) if query.cursor is not None else None,
        "phases": list(Phase),
        "states": list(WatchState),
        "sorts": _SORTS,
        "labels": _label_links(query),
        "is_filtered": bool(query.phase or query.state or query.metadata or query.text or query.late),
    }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    status = row["status"] or {}
    counts = status.get("task_run_status_counts")
    known = {
        name: counts[name]
        for name in _BAR_ORDER
        if isinstance(counts, dict) and is_count(counts.get(name)) and counts[name] > 0
    }
    metadata = row["metadata"]
    return {
        **row,
        "bar": draw_progress(known, row["progress"]["total"]) if row["status"] else None,
        "counts": {name: known[name] for name in RUN_STATUSES if name in known},
        "failed": _failed(row["status"]),
        "spark": draw_spark(row["trace"]),
        "labels": list(metadata.items())[:4] if isinstance(metadata, dict) else [],
    }


def _failed(status: dict[str, Any] | None) -> int | None:
    """Return how many runs have failed, None if that is not known; an absent count is 0."""
    counts = None if status is None else status.get("task_run_status_counts")
    failed = counts.get("failed", 0) if isinstance(counts, dict) else None
    return failed if is_count(failed) else None


def _label_links(query: OverviewQuery) -> list[tuple[str, str, str]]:
    """Return each filter by metadata with the address of the page without it."""
    names = {key_of(name): name for name in request.args if key_of(name) is not None}
    return [
        (
            key,
            value,
            address_with(**{names.get(key, "key"): None, "key": None, "value": None, "cursor": None}),
        )
        for key, value in query.metadata.items()
    ]
