"""A group's gaps and coverage: what may be asked about them, and the answers as JSON-ready values."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from pydantic import (
    Field,
)
from sqlalchemy import Connection

from recorder.completion.dwell import count_until_last_seen
from recorder.completion.summary import Summary
from recorder.ledger.chain import gap_members
from recorder.ledger.entries import Gap, Kind
from recorder.queries.history import (
    ended_at,
    history_rows,
    seq_in,
)
from recorder.queries.paging import Paging, group_path
from recorder.queries.params import (
    CURSOR_WORDS,
    DEFAULT_LIMIT,
    LIMIT_WORDS,
    ORDER_WORDS,
    CursorParam,
    ExportQuery,
    LimitParam,
    OrderParam,
    StretchQuery,
)
from recorder.store.derived import summary_of
from recorder.store.groups import GroupItem
from recorder.store.history import HistoryFilter, Item


class GapsQuery(ExportQuery, StretchQuery):
    """Which of a group's gaps to list."""

    order: OrderParam = Field("asc", description=ORDER_WORDS)
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)
    cursor: CursorParam = Field(None, description=CURSOR_WORDS)


def gaps_paging(taskgroup_id: str, query: GapsQuery) -> Paging:
    """Return the paging of a group's gaps."""
    return Paging(f"{group_path(taskgroup_id)}/gaps", query)


def gaps_answer(connection: Connection, group: GroupItem, query: GapsQuery, now: datetime) -> dict[str, Any]:
    """Return a page of a group's gaps, one that is open at `now` at the newest end, and its coverage.

    Raises:
        ForeignCursorError: the cursor is of another query.
    """
    taskgroup_id = group.watch.taskgroup_id
    paging = gaps_paging(taskgroup_id, query)
    question = replace(gaps_filter(query), after_seq=seq_in(paging.position()))
    rows = history_rows(connection, group, question, query.limit, now)
    page = paging.page([gap_item_body(held) for _, held in rows[: query.limit]], ended_at(rows, query.limit))
    return {**page, "coverage": coverage_body(group, summary_of(connection, taskgroup_id))}


def gaps_filter(query: GapsQuery) -> HistoryFilter:
    """Return which entries `query` asks for, from the first page on."""
    return HistoryFilter(
        since=query.from_, until=query.to, kinds=(Kind.GAP,), descending=query.order == "desc"
    )


def gap_item_body(held: Item | Gap) -> dict[str, Any]:
    """One of a group's gaps: the entry that holds it, or the gap itself while it is open."""
    seq, gap = (held.seq, held.content) if isinstance(held, Item) else (None, held)
    if not isinstance(gap, Gap):
        raise TypeError(f"entry {seq} is no gap")
    members = gap_members(gap)
    return {
        "seq": seq,
        "from": members.pop("from"),
        "to": members.pop("to"),
        "duration_seconds": None if gap.to is None else (gap.to - gap.from_).total_seconds(),
        **members,
    }


def coverage_body(group: GroupItem, summary: Summary) -> dict[str, Any]:
    """How much of the time in which a group was watched it was seen."""
    return asdict(count_until_last_seen(summary.dwell, group.watch.open).coverage())
