"""What the API answers, free of HTTP: the command line's `--json` prints the same.

Each function reads from one snapshot (`connection`) and returns a body that is ready for JSON.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from api.bodies import completion_body, group_body, item_body, open_gap_body, status_body
from api.cursors import ForeignCursorError, Position
from api.pages import Paging
from api.queries import GroupsQuery, HistoryQuery
from recorder.ledger.decision import open_gap
from recorder.ledger.entries import Gap, Kind
from recorder.ledger.identity import check_taskgroup_id
from recorder.ledger.times import format_time, parse_time
from recorder.store import readers
from recorder.store.enrolment import UnknownGroupError
from recorder.store.readers import GroupItem, Item

GROUPS_PATH = "/api/v1/groups"
_MAX_SEQ = 2**63 - 1


def group_path(taskgroup_id: str) -> str:
    """Return the path of a group in the API."""
    return f"{GROUPS_PATH}/{quote(taskgroup_id, safe='')}"


def groups_answer(connection: Connection, query: GroupsQuery, now: datetime) -> dict[str, Any]:
    """Return a page of groups, the newest enrolment first.

    Raises:
        ForeignCursorError: the cursor is of another query.
    """
    paging = Paging(GROUPS_PATH, query)
    groups = readers.list_groups(
        connection,
        limit=query.limit + 1,
        after=_enrolment(paging.position()),
        phases=query.phase,
        states=query.state,
    )
    shown = groups[: query.limit]
    ended_at = _position(shown[-1]) if len(groups) > query.limit else None
    return paging.page([group_body(group, now) for group in shown], ended_at)


def group_answer(connection: Connection, taskgroup_id: str, now: datetime) -> dict[str, Any]:
    """Return how a group stands.

    Raises:
        UnknownGroupError: it was never watched.
    """
    return group_body(_find(connection, taskgroup_id), now)


def status_answer(connection: Connection, taskgroup_id: str) -> dict[str, Any]:
    """Return a group's latest status.

    Raises:
        UnknownGroupError: it was never watched.
    """
    return status_body(_find(connection, taskgroup_id))


def history_answer(
    connection: Connection, taskgroup_id: str, query: HistoryQuery, now: datetime
) -> dict[str, Any]:
    """Return a page of a group's history; a gap that is open at `now` stands at its newest end.

    Raises:
        UnknownGroupError: the group was never watched.
        ForeignCursorError: the cursor is of another query.
    """
    group = _find(connection, taskgroup_id)
    paging = Paging(f"{group_path(taskgroup_id)}/history", query)
    rows = _history_rows(connection, group, query, _seq(paging.position()), now)
    more = len(rows) > query.limit
    shown = rows[: query.limit]
    return paging.page([body for _, body in shown], (shown[-1][0],) if more else None)


def completion_answer(connection: Connection, taskgroup_id: str) -> dict[str, Any]:
    """Return a group's episodes, and where its time went.

    Raises:
        UnknownGroupError: it was never watched.
    """
    group = _find(connection, taskgroup_id)
    return completion_body(group, list(readers.read_entries(connection, taskgroup_id)))


def _find(connection: Connection, taskgroup_id: str) -> GroupItem:
    try:
        group = readers.find_group(connection, check_taskgroup_id(taskgroup_id))
    except ValueError as error:
        raise UnknownGroupError(f"{taskgroup_id!r} {error}") from None
    if group is None:
        raise UnknownGroupError(f"no group {taskgroup_id!r} was ever watched")
    return group


def _position(group: GroupItem) -> Position:
    return format_time(group.watch.enrolled_at), group.watch.taskgroup_id


def _enrolment(position: Position | None) -> tuple[datetime, str] | None:
    if position is None:
        return None
    try:
        enrolled_at, taskgroup_id = position
        return parse_time(str(enrolled_at)), check_taskgroup_id(str(taskgroup_id))
    except ValueError:
        raise ForeignCursorError from None


def _seq(position: Position | None) -> int | None:
    if position is None:
        return None
    seq = position[0]
    if len(position) != 1 or not isinstance(seq, int) or not 0 < seq <= _MAX_SEQ:
        raise ForeignCursorError
    return seq


def _history_rows(
    connection: Connection, group: GroupItem, query: HistoryQuery, after_seq: int | None, now: datetime
) -> list[tuple[int, dict[str, Any]]]:
    """Each item with its position; more than the query's limit only if another page follows."""
    gap, head_seq = open_gap(group.watch, now), group.watch.head.seq
    items = _items(connection, group, query, after_seq)
    if gap is not None:
        items = [item for item in items if item.seq != head_seq or _reaches(item, gap, query.from_)]
    rows = [(item.seq, item_body(item)) for item in items]
    if gap is None or not _shows(gap, query):
        return rows
    row = (head_seq + 1, open_gap_body(gap))
    if query.order == "asc":
        return [*rows, row] if len(rows) <= query.limit else rows
    return [row, *rows] if after_seq is None else rows


def _items(
    connection: Connection, group: GroupItem, query: HistoryQuery, after_seq: int | None
) -> list[Item]:
    """Two more than a page holds: one tells that a page follows, one may give way to an open gap."""
    question = readers.HistoryQuery(
        since=query.from_,
        until=query.to,
        kinds=query.kind,
        descending=query.order == "desc",
        after_seq=after_seq,
    )
    return readers.history(connection, group.watch.taskgroup_id, question, query.limit + 2)


def _reaches(head: Item, gap: Gap, since: datetime | None) -> bool:
    """Whether the newest entry, which the open gap ends, lasted until `since`."""
    start = head.content.from_ if isinstance(head.content, Gap) else head.at
    return since is None or start >= since or gap.from_ > since


def _shows(gap: Gap, query: HistoryQuery) -> bool:
    in_kinds = query.kind is None or Kind.GAP in query.kind
    return in_kinds and (query.to is None or gap.from_ < query.to)
