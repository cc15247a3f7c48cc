"""A group's gaps and coverage: query parameters, and answers as JSON-ready values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from recorder.completion.dwell import count_until_last_seen
from recorder.ledger.chain import gap_members
from recorder.ledger.entries import Gap, Kind
from recorder.ledger.watch import Watch
from recorder.queries.history import EntriesRequest, Line, entries_request
from recorder.queries.paging import Page, Paging, group_path
from recorder.queries.param_types import (
    CURSOR_WORDS,
    DEFAULT_LIMIT,
    LIMIT_WORDS,
    ORDER_WORDS,
    CursorParam,
    LimitParam,
    OrderParam,
)
from recorder.queries.query import ExportQuery, StretchQuery
from recorder.store.derived import summary_of
from recorder.store.history import HistoryFilter, Item


class GapsQuery(ExportQuery, StretchQuery):
    """Which of a group's gaps to list."""

    order: OrderParam = Field("asc", description=ORDER_WORDS)
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)
    cursor: CursorParam = Field(None, description=CURSOR_WORDS)


def gaps_request(taskgroup_id: str, query: GapsQuery) -> EntriesRequest:
    """Return the page of gaps that `query` asks for.

    Raises:
        ForeignCursorError: the cursor belongs to another query.
    """
    paging = Paging(f"{group_path(taskgroup_id)}/gaps", query)
    return entries_request(paging, gaps_filter(query), query.cursor, query.limit)


def gaps_filter(query: GapsQuery) -> HistoryFilter:
    """Return which entries `query` asks for, starting with the first page."""
    return HistoryFilter(
        since=query.from_, until=query.to, kinds=(Kind.GAP,), descending=query.order == "desc"
    )


def gaps_body(connection: Connection, watch: Watch, page: Page[Line]) -> dict[str, Any]:
    """Return a page of gaps and the group's coverage (which leaves out an open gap) as JSON values."""
    return {**page.body(gap_body), "coverage": coverage_body(connection, watch)}


def gap_body(line: Line) -> dict[str, Any]:
    """Return a gap, closed or still open, as JSON values."""
    seq, gap = (line.seq, line.content) if isinstance(line, Item) else (None, line)
    if not isinstance(gap, Gap):
        raise TypeError(f"entry {seq} is not a gap")
    members = gap_members(gap)
    return {
        "seq": seq,
        "from": members.pop("from"),
        "to": members.pop("to"),
        "duration_seconds": None if gap.to is None else (gap.to - gap.from_).total_seconds(),
        **members,
    }


def coverage_body(connection: Connection, watch: Watch) -> dict[str, Any]:
    """Return how much of the time in which the group was watched it was actually seen."""
    summary = summary_of(connection, watch.taskgroup_id)
    return asdict(count_until_last_seen(summary.dwell, watch.open).coverage())
