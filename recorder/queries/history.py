"""A group's history: its query parameters, and its entries as JSON-ready values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.body_columns import usual_status
from recorder.ledger.chain import gap_members
from recorder.ledger.entries import Action, Gap, Kind
from recorder.ledger.transitions import open_gap
from recorder.ledger.watch import Watch
from recorder.queries.json_output import RawJson
from recorder.queries.paging import Cursor, ForeignCursorError, Page, PagePosition, Paging, group_path
from recorder.queries.param_types import (
    CURSOR_WORDS,
    DEFAULT_LIMIT,
    LIMIT_WORDS,
    ORDER_WORDS,
    AnomaliesParam,
    CursorParam,
    KindsParam,
    LimitParam,
    OrderParam,
    list_description,
)
from recorder.queries.query import StretchQuery
from recorder.store.history import HistoryFilter, Item, count_history, read_history

_MAX_SEQ = 2**63 - 1

Line = Item | Gap
"""One line of a history: an entry, or the gap that is still open."""


class HistoryQuery(StretchQuery):
    """Which entries of a group's history to list."""

    kind: KindsParam = Field(None, description=list_description("only entries of these kinds", Kind))
    anomaly: AnomaliesParam = Field(
        None, description=list_description("only entries with one of these anomalies", Anomaly)
    )
    order: OrderParam = Field("asc", description=ORDER_WORDS)
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)
    cursor: CursorParam = Field(None, description=CURSOR_WORDS)


@dataclass(frozen=True, slots=True)
class EntriesRequest:
    """A page of a group's entries: which ones, from where on, and how many."""

    paging: Paging
    entries: HistoryFilter
    limit: int


def history_request(taskgroup_id: str, query: HistoryQuery) -> EntriesRequest:
    """Return the page of history that `query` asks for.

    Raises:
        ForeignCursorError: the cursor belongs to another query.
    """
    paging = Paging(f"{group_path(taskgroup_id)}/history", query)
    return entries_request(paging, history_filter(query), query.cursor, query.limit)


def entries_request(
    paging: Paging, entries: HistoryFilter, cursor: Cursor | None, limit: int
) -> EntriesRequest:
    """Return the page of `entries` after `cursor`.

    Raises:
        ForeignCursorError: the cursor belongs to another query.
    """
    return EntriesRequest(paging, replace(entries, after_seq=_seq_of(paging.position(cursor))), limit)


def history_filter(query: HistoryQuery) -> HistoryFilter:
    """Return which entries `query` asks for, starting with the first page."""
    return HistoryFilter(
        since=query.from_,
        until=query.to,
        kinds=query.kind,
        anomalies=query.anomaly,
        descending=query.order == "desc",
    )


def read_page(connection: Connection, watch: Watch, request: EntriesRequest, now: datetime) -> Page[Line]:
    """Return a page of a group's entries; a gap that is open at `now` comes at the newest end."""
    lines = read_lines(connection, watch, request.entries, request.limit, now)
    shown = [line for _, line in lines[: request.limit]]
    return request.paging.page(shown, last_position(lines, request.limit))


def history_answer(
    connection: Connection, watch: Watch, query: HistoryQuery, now: datetime
) -> dict[str, Any]:
    """Return a page of a group's history as JSON values.

    Raises:
        ForeignCursorError: the cursor belongs to another query.
    """
    request = history_request(watch.taskgroup_id, query)
    return read_page(connection, watch, request, now).body(line_body)


def read_lines(
    connection: Connection, watch: Watch, entries: HistoryFilter, limit: int, now: datetime
) -> list[tuple[int, Line]]:
    """Return entries, and the gap that is open at `now`, each with its position.

    There are more than `limit` only if others follow.
    """
    if entries.since is not None and entries.since == entries.until:
        return []
    gap, head_seq = open_gap(watch, now), watch.head.seq
    # Two more than a page holds: one shows that a page follows, one may give way to the open gap.
    items = read_history(connection, watch.taskgroup_id, entries, limit + 2)
    if gap is not None:
        items = [item for item in items if item.seq != head_seq or _reaches(item, gap, entries.since)]
    lines: list[tuple[int, Line]] = [(item.seq, item) for item in items]
    if gap is None or not _includes_gap(entries, gap):
        return lines
    last = (head_seq + 1, gap)
    if not entries.descending:
        return [*lines, last]
    return [last, *lines] if entries.after_seq is None else lines


def count_lines(
    connection: Connection, watch: Watch, entries: HistoryFilter, now: datetime | None
) -> int | None:
    """Return how many lines `read_lines` finds in all; None if they are selected by time.

    If `now` is None, an open gap is not counted.
    """
    if entries.since is not None or entries.until is not None:
        return None
    gap = None if now is None else open_gap(watch, now)
    opened = gap is not None and _includes_gap(entries, gap)
    return count_history(connection, watch.taskgroup_id, entries) + opened


def last_position(lines: list[tuple[int, Line]], limit: int) -> PagePosition | None:
    """Return the position of a page's last line, None if no page follows."""
    return (lines[limit - 1][0],) if len(lines) > limit else None


def _seq_of(position: PagePosition | None) -> int | None:
    """Return the entry number in a cursor's position.

    Raises:
        ForeignCursorError: the position is not that of an entry.
    """
    if position is None:
        return None
    seq = position[0]
    if len(position) != 1 or not isinstance(seq, int) or not 0 < seq <= _MAX_SEQ:
        raise ForeignCursorError
    return seq


def _reaches(head: Item, gap: Gap, since: datetime | None) -> bool:
    """Whether the newest entry, which the open gap ends, lasted until `since`."""
    return since is None or head.start >= since or gap.from_ > since


def _includes_gap(entries: HistoryFilter, gap: Gap) -> bool:
    in_kinds = entries.anomalies is None and (entries.kinds is None or Kind.GAP in entries.kinds)
    return in_kinds and (entries.until is None or gap.from_ < entries.until)


NO_STATUS: dict[str, Any] = dict.fromkeys(
    ("observed_at", "last_seen_at", "polls", "phase", "status", "metadata", "created_at", "anomalies")
)
"""The members of a status, for an entry of another kind or a group that was never seen."""

_GAP = {
    "from": "gap_from",
    "to": "at",
    **{name: f"gap_{name}" for name in ("cause", "attempts", "unpolled_seconds", "http_status", "detail")},
}
_WATCH = {name: f"watch_{name}" for name in ("action", "actor", "note")}
"""The members of a gap and of a watch change, each with its column."""
_EXPECT = {"runs": "expect_runs", "by": "expect_by"}


def line_body(line: Line) -> dict[str, Any]:
    """Return an entry or the open gap as JSON values."""
    return open_gap_body(line) if isinstance(line, Gap) else entry_body(line)


def entry_body(item: Item) -> dict[str, Any]:
    """Return an entry as JSON values, its metadata as RawJson."""
    columns = item.columns
    kind = columns["kind"]
    return {
        "seq": columns["seq"],
        "kind": kind,
        "at": columns["at"],
        **(status_members(item, RawJson) if kind == Kind.STATUS else NO_STATUS),
        "gap": _members(columns, _GAP) if kind == Kind.GAP else None,
        "watch": _watch_members(columns) if kind == Kind.WATCH else None,
        "digest": columns["digest"],
    }


def open_gap_body(gap: Gap) -> dict[str, Any]:
    """Return a gap that is not an entry yet as JSON values."""
    return {
        "seq": None,
        "kind": Kind.GAP.value,
        "at": None,
        **NO_STATUS,
        "gap": gap_members(gap),
        "watch": None,
        "digest": None,
    }


def status_members(item: Item, read_metadata: Callable[[str], Any]) -> dict[str, Any]:
    """Return the members of a status entry, straight from its columns wherever these hold all of it.

    `read_metadata` takes the metadata as JSON text.
    """
    columns = item.columns
    extra, metadata, anomalies = columns["extra"], columns["metadata"], columns["anomalies"]
    members: dict[str, Any] = {
        "observed_at": columns["at"],
        "last_seen_at": columns["until_seen_at"],
        "polls": columns["until_polls"],
        "phase": columns["phase"],
        "status": None,
        "metadata": None,
        "created_at": columns["created_at"],
        "anomalies": [] if anomalies == "[]" else json.loads(anomalies),
    }
    if extra is None:
        members["status"] = usual_status(columns)
        members["metadata"] = None if metadata is None else read_metadata(metadata)
    else:
        value = item.value()
        members["status"], members["metadata"] = value["status"], value.get("metadata")
    return members


def _watch_members(columns: Mapping[str, Any]) -> dict[str, Any]:
    members = _members(columns, _WATCH)
    if columns["watch_action"] == Action.EXPECTED:
        members["expect"] = _members(columns, _EXPECT)
    return members


def _members(columns: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {name: columns[column] for name, column in names.items()}
