"""What the API answers, free of HTTP: the command line's `--json` prints the same.

Each function reads from one snapshot (`connection`) and returns a body that is ready for JSON.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from api.bodies import (
    coverage_body,
    gap_item_body,
    group_body,
    item_body,
    open_gap_body,
)
from api.cursors import ForeignCursorError, Position
from api.etas import eta_of, etas_of
from api.group_queries import GroupsQuery
from api.pages import Paging
from api.queries import GapsQuery, HistoryQuery
from recorder.ledger.decision import open_gap
from recorder.ledger.entries import Gap, Kind
from recorder.ledger.identity import check_taskgroup_id
from recorder.ledger.times import format_time, parse_time
from recorder.store import readers
from recorder.store.enrolment import UnknownGroupError
from recorder.store.items import Item
from recorder.store.readers import GroupItem
from recorder.store.summaries import summary_of

GROUPS_PATH = "/api/v1/groups"
MAX_COUNT = 10_000
"""Counting stops there: it should not cost more than the page."""
_MAX_SEQ = 2**63 - 1


def group_path(taskgroup_id: str) -> str:
    """Return the path of a group in the API."""
    return f"{GROUPS_PATH}/{quote(taskgroup_id, safe='')}"


@dataclass(frozen=True, slots=True)
class GroupsListing:
    """A page of groups before it is worded: those `shown`, whether `more` follow, how many there are."""

    paging: Paging
    shown: list[GroupItem]
    more: bool
    count: int | None
    etas: dict[str, dict[str, Any]]

    def body(self, now: datetime) -> dict[str, Any]:
        """Return the page; open gaps are those at `now`."""
        bodies = [group_body(group, self.etas[group.watch.taskgroup_id], now) for group in self.shown]
        page = self.paging.page(bodies, _position(self.shown[-1]) if self.more else None)
        if self.count is not None:
            page |= {"count": min(self.count, MAX_COUNT), "count_is_capped": self.count > MAX_COUNT}
        return page


def list_page(
    connection: Connection, query: GroupsQuery, now: datetime, cohort_key: str | None
) -> GroupsListing:
    """Read a page of groups, the newest enrolment first; `cohort_key` tells which are alike.

    Raises:
        ForeignCursorError: the cursor is of another query.
    """
    paging = Paging(GROUPS_PATH, query)
    question = groups_question(query, now)
    after = _enrolment(paging.position())
    groups = readers.list_groups(connection, question, limit=query.limit + 1, after=after)
    count = readers.count_groups(connection, question, most=MAX_COUNT + 1) if query.count else None
    shown = groups[: query.limit]
    return GroupsListing(
        paging, shown, len(groups) > query.limit, count, etas_of(connection, shown, cohort_key)
    )


def groups_question(query: GroupsQuery, now: datetime) -> readers.GroupsQuery:
    """Return which groups are asked for; open gaps are those at `now`."""
    return readers.GroupsQuery(
        phases=query.phase,
        states=query.state,
        late_at=now if query.late else None,
        labels=tuple(query.metadata.items()),
        created_from=query.created_from,
        created_to=query.created_to,
        changed_from=query.changed_from,
    )


def groups_answer(
    connection: Connection, query: GroupsQuery, now: datetime, cohort_key: str | None
) -> dict[str, Any]:
    """Return a page of groups.

    Raises:
        ForeignCursorError: the cursor is of another query.
    """
    return list_page(connection, query, now, cohort_key).body(now)


def group_answer(
    connection: Connection, group: GroupItem, now: datetime, cohort_key: str | None
) -> dict[str, Any]:
    """Return how a group stands; `cohort_key` tells which groups are alike."""
    return group_body(group, eta_of(connection, group, cohort_key), now)


def history_paging(taskgroup_id: str, query: HistoryQuery) -> Paging:
    """Return the paging of a group's history."""
    return Paging(f"{group_path(taskgroup_id)}/history", query)


def gaps_paging(taskgroup_id: str, query: GapsQuery) -> Paging:
    """Return the paging of a group's gaps."""
    return Paging(f"{group_path(taskgroup_id)}/gaps", query)


def history_answer(
    connection: Connection, group: GroupItem, query: HistoryQuery, now: datetime
) -> dict[str, Any]:
    """Return a page of a group's history; a gap that is open at `now` stands at its newest end.

    Raises:
        ForeignCursorError: the cursor is of another query.
    """
    paging = history_paging(group.watch.taskgroup_id, query)
    question = history_question(query, query.kind, _seq(paging.position()))
    rows = history_rows(connection, group, question, query.limit, now)
    bodies = [history_body(held) for _, held in rows[: query.limit]]
    return paging.page(bodies, _ended_at(rows, query.limit))


def history_body(held: Item | Gap) -> dict[str, Any]:
    """Return an entry, or the open gap, as an item of a history."""
    return open_gap_body(held) if isinstance(held, Gap) else item_body(held)


def gaps_answer(connection: Connection, group: GroupItem, query: GapsQuery, now: datetime) -> dict[str, Any]:
    """Return a page of a group's gaps, one that is open at `now` at the newest end, and its coverage.

    Raises:
        ForeignCursorError: the cursor is of another query.
    """
    taskgroup_id = group.watch.taskgroup_id
    paging = gaps_paging(taskgroup_id, query)
    question = history_question(query, (Kind.GAP,), _seq(paging.position()))
    rows = history_rows(connection, group, question, query.limit, now)
    page = paging.page([gap_item_body(held) for _, held in rows[: query.limit]], _ended_at(rows, query.limit))
    return {**page, "coverage": coverage_body(group, summary_of(connection, taskgroup_id))}


def find_group(connection: Connection, taskgroup_id: str) -> GroupItem:
    """Return a group.

    Raises:
        UnknownGroupError: it was never watched.
    """
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


def history_question(
    query: HistoryQuery | GapsQuery, kinds: Collection[Kind] | None, after_seq: int | None
) -> readers.HistoryQuery:
    """Return which entries are asked for, of `kinds` and after the entry `after_seq`."""
    return readers.HistoryQuery(
        since=query.from_,
        until=query.to,
        kinds=kinds,
        anomalies=query.anomaly if isinstance(query, HistoryQuery) else None,
        descending=query.order == "desc",
        after_seq=after_seq,
    )


def history_rows(
    connection: Connection, group: GroupItem, question: readers.HistoryQuery, limit: int, now: datetime
) -> list[tuple[int, Item | Gap]]:
    """Return each entry, and the gap that is open at `now`, with its position; more than `limit` only if
    others follow."""
    if question.since is not None and question.since == question.until:
        return []
    gap, head_seq = open_gap(group.watch, now), group.watch.head.seq
    # Two more than a page holds: one tells that a page follows, one may give way to the open gap.
    items = readers.history(connection, group.watch.taskgroup_id, question, limit + 2)
    if gap is not None:
        items = [item for item in items if item.seq != head_seq or _reaches(item, gap, question.since)]
    rows: list[tuple[int, Item | Gap]] = [(item.seq, item) for item in items]
    if gap is None or not _shows(gap, question):
        return rows
    row = (head_seq + 1, gap)
    if not question.descending:
        return [*rows, row]
    return [row, *rows] if question.after_seq is None else rows


def _ended_at(rows: list[tuple[int, Item | Gap]], limit: int) -> Position | None:
    """The position of a page's last item if another page follows."""
    return (rows[limit - 1][0],) if len(rows) > limit else None


def _reaches(head: Item, gap: Gap, since: datetime | None) -> bool:
    """Whether the newest entry, which the open gap ends, lasted until `since`."""
    start = head.start
    return since is None or start >= since or gap.from_ > since


def _shows(gap: Gap, question: readers.HistoryQuery) -> bool:
    in_kinds = question.anomalies is None and (question.kinds is None or Kind.GAP in question.kinds)
    return in_kinds and (question.until is None or gap.from_ < question.until)
