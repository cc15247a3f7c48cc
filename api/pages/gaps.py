"""The page of what was not seen, over all groups."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import Response

from api.context import snapshot
from api.middleware.etag import mark_of_all
from api.pages.charts.outage_lanes import draw_outages
from api.pages.page import address_with, blueprint, live_page
from api.pages.params import form_query, form_values
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.timestamps import format_time
from recorder.queries.group_chart import TimeSpan
from recorder.queries.outages import Outages, OutagesQuery, SharedOutage, outages_answer
from recorder.store.gap_rows import count_open_gaps

PAGE_LENGTH = 100
MOST_NAMED = 5
"""How many groups of an outage are named."""
_STRETCHES = {"last hour": timedelta(hours=1), "last day": timedelta(days=1), "last week": timedelta(days=7)}


@blueprint.get("/gaps")
def all_gaps() -> Response:
    """Outages by cause."""
    query = form_query(OutagesQuery, own={"page"})
    with snapshot() as read:
        connection, now = read.connection, read.now
        open_gaps = count_open_gaps(connection, now)
        # While an outage goes on, its bar grows.
        moment = now.replace(second=now.second // 10 * 10, microsecond=0) if open_gaps else None
        mark = f"{mark_of_all(connection)} {open_gaps} {moment}"
        return live_page(
            mark, "gaps.html", lambda: _values(query, outages_answer(connection, query, now), now)
        )


def _values(query: OutagesQuery, found: Outages, now: datetime) -> Mapping[str, Any]:
    number = _page_number()
    newest_first = found.items[::-1]
    shown = newest_first[(number - 1) * PAGE_LENGTH : number * PAGE_LENGTH]
    follows = number * PAGE_LENGTH < len(newest_first)
    return {
        "query": query,
        "chart": _chart(query, found, now),
        "outages": [_outage(outage, now) for outage in shown],
        "count": len(found.items),
        "causes": list(Cause),
        "stretches": {
            name: address_with(**{"from": format_time(now - length)[:19], "to": None, "page": None})
            for name, length in _STRETCHES.items()
        },
        "everything": address_with(**{"from": None, "to": None, "page": None}),
        "next": address_with(page=number + 1) if follows else None,
        "previous": address_with(page=number - 1) if number > 1 else None,
    }


def _page_number() -> int:
    given = str(form_values().get("page", "1"))
    return max(1, int(given)) if given.isascii() and given.isdigit() and len(given) < 9 else 1


def _chart(query: OutagesQuery, found: Outages, now: datetime) -> str | None:
    if found.first is None or found.last is None or not found.items:
        return None
    lo = query.from_ or found.first
    hi = query.to or (now if found.has_open else max(found.last, lo))
    hi = max(hi, lo + timedelta(milliseconds=1))
    lanes: dict[str, list[TimeSpan]] = {cause.value: [] for cause in Cause}
    for outage in found.items:
        end = hi if outage.to is None else outage.to
        lanes[outage.cause].append(TimeSpan(_millis(outage.from_), _millis(end), outage.cause))
    used = {cause: spans for cause, spans in lanes.items() if spans}
    return draw_outages(used, _millis(lo), _millis(hi), "outages")


def _outage(outage: SharedOutage, now: datetime) -> dict[str, Any]:
    end = now if outage.to is None else outage.to
    return {
        "cause": outage.cause,
        "from": format_time(outage.from_),
        "to": None if outage.to is None else format_time(outage.to),
        "seconds": max(0.0, (end - outage.from_).total_seconds()),
        "gaps": outage.gaps,
        "group_count": len(outage.groups),
        "groups": list(outage.groups)[:MOST_NAMED],
    }


def _millis(moment: datetime) -> float:
    return moment.timestamp() * 1000
