"""The page of what was not seen, over all groups."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import Response

from api.context import snapshot
from api.middleware.etag import etag_of
from api.pages.charts.outage_lanes import draw_outages
from api.pages.page import address_with, blueprint, live_page
from api.pages.params import form_query, form_values
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.timestamps import format_time
from recorder.queries.group_chart import TimeSpan
from recorder.queries.outages import Outages, OutagesQuery, SharedOutage, outages_answer
from recorder.store.data_cache import kept
from recorder.store.group_counts import kept_open_gaps

PAGE_LENGTH = 100
_STRETCHES = {"last hour": timedelta(hours=1), "last day": timedelta(days=1), "last week": timedelta(days=7)}


@blueprint.get("/gaps")
def all_gaps() -> Response:
    """Outages by cause."""
    query = form_query(OutagesQuery, own={"page"})
    with snapshot() as read:
        connection, now = read.connection, read.now
        # As long as nothing is written, the outages change only if further gaps open.
        key = (
            "outages",
            repr(query),
            kept_open_gaps(connection, now),
            query.from_ is None or query.from_ < now,
        )
        found, mark = kept(connection, key, lambda: _with_mark(outages_answer(connection, query, now)))
        # While an outage goes on, its bar grows.
        moment = now.replace(second=now.second // 10 * 10, microsecond=0) if found.has_open else None
        return live_page(f"{mark} {moment}", "gaps.html", lambda: _values(query, found, now))


def _with_mark(found: Outages) -> tuple[Outages, str]:
    return found, etag_of(repr(found))


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
        "is_watching": found.first is not None,
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
        "group_count": outage.group_count,
        "groups": outage.first_groups,
    }


def _millis(moment: datetime) -> float:
    return moment.timestamp() * 1000
