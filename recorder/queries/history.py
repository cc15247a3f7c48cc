"""A group's history: what may be asked about it, and the answers as JSON-ready values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import (
    Field,
)
from sqlalchemy import Connection

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.body_columns import usual_status
from recorder.ledger.chain import gap_members
from recorder.ledger.entries import Gap, Kind
from recorder.ledger.transitions import open_gap
from recorder.queries.json_output import RawJson
from recorder.queries.paging import ForeignCursorError, PagePosition, Paging, group_path
from recorder.queries.params import (
    CURSOR_WORDS,
    DEFAULT_LIMIT,
    LIMIT_WORDS,
    ORDER_WORDS,
    AnomaliesParam,
    CursorParam,
    KindsParam,
    LimitParam,
    OrderParam,
    StretchQuery,
    listing_words,
)
from recorder.store.groups import GroupItem
from recorder.store.history import HistoryFilter, Item, read_history


class HistoryQuery(StretchQuery):
    """Which entries of a group's history to list."""

    kind: KindsParam = Field(None, description=listing_words("only entries of these kinds", Kind))
    anomaly: AnomaliesParam = Field(
        None, description=listing_words("only entries with one of these anomalies", Anomaly)
    )
    order: OrderParam = Field("asc", description=ORDER_WORDS)
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)
    cursor: CursorParam = Field(None, description=CURSOR_WORDS)


_MAX_SEQ = 2**63 - 1


def history_paging(taskgroup_id: str, query: HistoryQuery) -> Paging:
    """Return the paging of a group's history."""
    return Paging(f"{group_path(taskgroup_id)}/history", query)


def history_answer(
    connection: Connection, group: GroupItem, query: HistoryQuery, now: datetime
) -> dict[str, Any]:
    """Return a page of a group's history; a gap that is open at `now` stands at its newest end.

    Raises:
        ForeignCursorError: the cursor is of another query.
    """
    paging = history_paging(group.watch.taskgroup_id, query)
    question = replace(history_filter(query), after_seq=seq_in(paging.position()))
    rows = history_rows(connection, group, question, query.limit, now)
    bodies = [history_body(held) for _, held in rows[: query.limit]]
    return paging.page(bodies, ended_at(rows, query.limit))


def history_body(held: Item | Gap) -> dict[str, Any]:
    """Return an entry, or the open gap, as an item of a history."""
    return open_gap_body(held) if isinstance(held, Gap) else item_body(held)


def seq_in(position: PagePosition | None) -> int | None:
    if position is None:
        return None
    seq = position[0]
    if len(position) != 1 or not isinstance(seq, int) or not 0 < seq <= _MAX_SEQ:
        raise ForeignCursorError
    return seq


def history_filter(query: HistoryQuery) -> HistoryFilter:
    """Return which entries `query` asks for, from the first page on."""
    return HistoryFilter(
        since=query.from_,
        until=query.to,
        kinds=query.kind,
        anomalies=query.anomaly,
        descending=query.order == "desc",
    )


def history_rows(
    connection: Connection, group: GroupItem, question: HistoryFilter, limit: int, now: datetime
) -> list[tuple[int, Item | Gap]]:
    """Return each entry, and the gap that is open at `now`, with its position; more than `limit` only if
    others follow."""
    if question.since is not None and question.since == question.until:
        return []
    gap, head_seq = open_gap(group.watch, now), group.watch.head.seq
    # Two more than a page holds: one tells that a page follows, one may give way to the open gap.
    items = read_history(connection, group.watch.taskgroup_id, question, limit + 2)
    if gap is not None:
        items = [item for item in items if item.seq != head_seq or _reaches(item, gap, question.since)]
    rows: list[tuple[int, Item | Gap]] = [(item.seq, item) for item in items]
    if gap is None or not _shows(gap, question):
        return rows
    row = (head_seq + 1, gap)
    if not question.descending:
        return [*rows, row]
    return [row, *rows] if question.after_seq is None else rows


def ended_at(rows: list[tuple[int, Item | Gap]], limit: int) -> PagePosition | None:
    """The position of a page's last item if another page follows."""
    return (rows[limit - 1][0],) if len(rows) > limit else None


def _reaches(head: Item, gap: Gap, since: datetime | None) -> bool:
    """Whether the newest entry, which the open gap ends, lasted until `since`."""
    start = head.start
    return since is None or start >= since or gap.from_ > since


def _shows(gap: Gap, question: HistoryFilter) -> bool:
    in_kinds = question.anomalies is None and (question.kinds is None or Kind.GAP in question.kinds)
    return in_kinds and (question.until is None or gap.from_ < question.until)


NOTHING_SAID: dict[str, Any] = dict.fromkeys(
    ("observed_at", "last_seen_at", "polls", "phase", "status", "metadata", "created_at", "anomalies")
)
"""What a status says, of what is none or was never seen."""


_GAP = {
    "from": "gap_from",
    "to": "at",
    **{name: f"gap_{name}" for name in ("cause", "attempts", "unpolled_seconds", "http_status", "detail")},
}


_WATCH = {name: f"watch_{name}" for name in ("action", "actor", "note")}
"""The members of a gap and of a change of the watch, each by its column."""


def item_body(item: Item) -> dict[str, Any]:
    """One entry of a group's history, its metadata as RawJson."""
    columns = item.columns
    kind = columns["kind"]
    return {
        "seq": columns["seq"],
        "kind": kind,
        "at": columns["at"],
        **(status_members(item, RawJson) if kind == Kind.STATUS else NOTHING_SAID),
        "gap": _members(columns, _GAP) if kind == Kind.GAP else None,
        "watch": _members(columns, _WATCH) if kind == Kind.WATCH else None,
        "digest": columns["digest"],
    }


def open_gap_body(gap: Gap) -> dict[str, Any]:
    """A gap that no entry holds yet, as an item of a group's history."""
    return {
        "seq": None,
        "kind": Kind.GAP.value,
        "at": None,
        **NOTHING_SAID,
        "gap": gap_members(gap),
        "watch": None,
        "digest": None,
    }


def status_members(item: Item, read: Callable[[str], Any]) -> dict[str, Any]:
    """What a status entry says, straight from its columns where these say it all; `read` takes the text of
    its metadata."""
    columns = item.columns
    extra, metadata, anomalies = columns["extra"], columns["metadata"], columns["anomalies"]
    said: dict[str, Any] = {
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
        said["status"] = usual_status(columns)
        said["metadata"] = None if metadata is None else read(metadata)
    else:
        value = item.value()
        said["status"], said["metadata"] = value["status"], value.get("metadata")
    return said


def _members(columns: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {name: columns[column] for name, column in names.items()}
