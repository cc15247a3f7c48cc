"""Groups: query parameters, and their current state as JSON-ready values."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from pydantic import Field, ValidationInfo, field_validator
from sqlalchemy import ColumnElement, Connection

from recorder.ledger.chain import expectation_members, gap_members
from recorder.ledger.entries import NOTHING_EXPECTED, Expectation
from recorder.ledger.group_id import check_taskgroup_id
from recorder.ledger.status_fields import FINISHED_STATUSES, Phase, is_count
from recorder.ledger.timestamps import format_time, parse_time
from recorder.ledger.transitions import open_gap
from recorder.ledger.watch import WatchState
from recorder.queries.eta import eta_of, etas_of
from recorder.queries.history import NO_STATUS, status_members
from recorder.queries.label_params import LabelledQuery
from recorder.queries.paging import GROUPS_PATH, ForeignCursorError, Page, PagePosition, Paging
from recorder.queries.param_types import (
    CURSOR_WORDS,
    DEFAULT_LIMIT,
    LIMIT_WORDS,
    CursorParam,
    FlagParam,
    LimitParam,
    PhasesParam,
    StatesParam,
    TimeParam,
    complaint,
    list_description,
)
from recorder.queries.query import ExportQuery
from recorder.store.groups import (
    GroupFilter,
    GroupItem,
    WatchRow,
    count_groups,
    find_group,
    find_watch,
    list_groups,
)
from recorder.store.tombstones import ArchivedGroupError, find_tombstone
from recorder.store.watch_changes import UnknownGroupError

T = TypeVar("T", bound=WatchRow)

MAX_COUNT = 10_000
"""Counting stops here: a count should not cost more than the page it comes with."""


class GroupsQuery(ExportQuery, LabelledQuery):
    """Which groups to list."""

    phase: PhasesParam = Field(
        None, description=list_description("only groups in one of these phases", Phase)
    )
    state: StatesParam = Field(
        None, description=list_description("only groups whose watch is in one of these states", WatchState)
    )
    late: FlagParam = Field(False, description="true: only groups with an open gap")
    created_from: TimeParam = Field(None, description="only groups created at or after this time")
    created_to: TimeParam = Field(None, description="only groups created before this time")
    changed_from: TimeParam = Field(
        None, description="only groups whose newest entry is from this time or later"
    )
    count: FlagParam = Field(False, description="true: count the matching groups, up to 10,000")
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)
    cursor: CursorParam = Field(None, description=CURSOR_WORDS)

    @field_validator("created_to")
    @classmethod
    def _not_before_from(cls, to: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("created_from")
        if since is not None and to is not None and since > to:
            raise complaint("lies before created_from")
        return to


class TooManyGroupsError(Exception):
    """A query selects more groups than can be handled at once."""


@dataclass(frozen=True, slots=True)
class GroupListing:
    """A page of groups with their estimates; `count` is how many groups match, None if that was not asked."""

    page: Page[GroupItem]
    count: int | None
    etas: dict[str, dict[str, Any]]

    def body(self, now: datetime) -> dict[str, Any]:
        """Return the page as JSON values, with the gaps that are open at `now`."""
        body = self.page.body(lambda group: group_body(group, self.etas[group.watch.taskgroup_id], now))
        if self.count is not None:
            body |= {"count": min(self.count, MAX_COUNT), "count_is_capped": self.count > MAX_COUNT}
        return body


def list_page(
    connection: Connection,
    query: GroupsQuery,
    now: datetime,
    cohort_key: str | None,
    *,
    stopped_unseen: bool = True,
    conditions: tuple[ColumnElement[bool], ...] = (),
) -> GroupListing:
    """Read a page of groups, newest enrolment first.

    Groups with the same value of `cohort_key` in their metadata are alike; without it, all are. Groups that
    were stopped and never seen can be left out, and `conditions` of `GroupFilter` added.

    Raises:
        ForeignCursorError: the cursor belongs to another query.
    """
    paging = Paging(GROUPS_PATH, query)
    matching = replace(groups_filter(query, now), stopped_unseen=stopped_unseen, conditions=conditions)
    after = _enrolment(paging.position(query.cursor))
    groups = list_groups(connection, matching, limit=query.limit + 1, after=after)
    count = count_groups(connection, matching, most=MAX_COUNT + 1) if query.count else None
    shown = groups[: query.limit]
    last = _position(shown[-1]) if len(groups) > query.limit else None
    return GroupListing(paging.page(shown, last), count, etas_of(connection, shown, cohort_key))


def list_whole(
    connection: Connection,
    query: GroupsQuery,
    now: datetime,
    cohort_key: str | None,
    *,
    stopped_unseen: bool = True,
    conditions: tuple[ColumnElement[bool], ...] = (),
) -> list[dict[str, Any]]:
    """Return the bodies of all groups that `list_page` would list, page by page.

    Raises:
        TooManyGroupsError: there are more than MAX_COUNT.
    """
    matching = replace(groups_filter(query, now), stopped_unseen=stopped_unseen, conditions=conditions)
    groups = list_groups(connection, matching, limit=MAX_COUNT + 1)
    if len(groups) > MAX_COUNT:
        raise TooManyGroupsError
    etas = etas_of(connection, groups, cohort_key)
    return [group_body(group, etas[group.watch.taskgroup_id], now) for group in groups]


def groups_filter(query: GroupsQuery, now: datetime) -> GroupFilter:
    """Return which groups `query` asks for; open gaps are those at `now`."""
    return GroupFilter(
        phases=query.phase,
        states=query.state,
        late_at=now if query.late else None,
        labels=tuple(query.metadata.items()),
        created_from=query.created_from,
        created_to=query.created_to,
        changed_from=query.changed_from,
    )


def group_answer(
    connection: Connection, group: GroupItem, now: datetime, cohort_key: str | None
) -> dict[str, Any]:
    """Return the current state of a group; `cohort_key` as in `list_page`."""
    return group_body(group, eta_of(connection, group, cohort_key), now)


def require_group(connection: Connection, taskgroup_id: str) -> GroupItem:
    """Return a group with its latest status.

    Raises:
        UnknownGroupError: it was never watched.
        ArchivedGroupError: it is archived.
    """
    return _found(connection, find_group(connection, _checked_id(taskgroup_id)), taskgroup_id)


def require_watch(connection: Connection, taskgroup_id: str) -> WatchRow:
    """Return a group's watch alone.

    Raises:
        UnknownGroupError: it was never watched.
        ArchivedGroupError: it is archived.
    """
    return _found(connection, find_watch(connection, _checked_id(taskgroup_id)), taskgroup_id)


def _checked_id(taskgroup_id: str) -> str:
    try:
        return check_taskgroup_id(taskgroup_id)
    except ValueError as error:
        raise UnknownGroupError(f"{taskgroup_id!r} {error}") from None


def _found(connection: Connection, row: T | None, taskgroup_id: str) -> T:
    if row is None:
        tombstone = find_tombstone(connection, taskgroup_id)
        if tombstone is not None:
            raise ArchivedGroupError(tombstone)
        raise UnknownGroupError(f"no group {taskgroup_id!r} was ever watched")
    return row


def _position(group: GroupItem) -> PagePosition:
    return format_time(group.watch.enrolled_at), group.watch.taskgroup_id


def _enrolment(position: PagePosition | None) -> tuple[datetime, str] | None:
    if position is None:
        return None
    try:
        enrolled_at, taskgroup_id = position
        return parse_time(str(enrolled_at)), check_taskgroup_id(str(taskgroup_id))
    except ValueError:
        raise ForeignCursorError from None


def group_body(group: GroupItem, eta: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return a group with its `eta`, and the gap that is open at `now`, as JSON values."""
    watch, latest = group.watch, _latest(group)
    gap = open_gap(watch, now)
    expected, progress = watch.expected, progress_body(latest["status"])
    return {
        "taskgroup_id": watch.taskgroup_id,
        "state": watch.state.value,
        "phase": latest["phase"],
        "created_at": latest["created_at"],
        "metadata": latest["metadata"],
        "status": latest["status"],
        "seq": latest["seq"],
        "observed_at": latest["observed_at"],
        "last_seen_at": latest["last_seen_at"],
        "polls": latest["polls"],
        "due_at": None if watch.due_at is None else format_time(watch.due_at),
        "interval_seconds": group.interval_seconds,
        "progress": progress,
        "expected": None if expected == NOTHING_EXPECTED else expectation_members(expected),
        "arrived": _arrived(expected, progress["total"]),
        "open_gap": None if gap is None else gap_members(gap),
        "anomalies": latest["anomalies"],
        "eta": eta,
    }


def status_body(group: GroupItem) -> dict[str, Any]:
    """Return a group's latest status as JSON values."""
    latest = _latest(group)
    return {
        "taskgroup_id": group.watch.taskgroup_id,
        "phase": latest["phase"],
        "status": latest["status"],
        "seq": latest["seq"],
        "observed_at": latest["observed_at"],
        "last_seen_at": latest["last_seen_at"],
        "polls": latest["polls"],
        "anomalies": latest["anomalies"],
        "digest": latest["digest"],
    }


def progress_body(status: dict[str, Any] | None) -> dict[str, Any]:
    """Return how many runs have finished. An absent count is 0; one that is not a whole number is unknown."""
    counts, total = (status or {}).get("task_run_status_counts"), (status or {}).get("num_task_runs")
    parts: list[Any] = [None]
    if isinstance(counts, dict):
        parts = [counts.get(name, 0) for name in FINISHED_STATUSES]
    finished = sum(parts) if all(is_count(part) for part in parts) else None
    total = total if is_count(total) else None
    return {"finished": finished, "total": total, "fraction": _fraction(finished, total)}


def _arrived(expected: Expectation, total: int | None) -> bool | None:
    return None if expected.runs is None or total is None else total >= expected.runs


def _latest(group: GroupItem) -> dict[str, Any]:
    item = group.latest
    if item is None:
        return {**NO_STATUS, "seq": None, "digest": None}
    return {**status_members(item, json.loads), "seq": item.seq, "digest": item.digest}


def _fraction(finished: int | None, total: int | None) -> float | None:
    if finished is None or total is None or total <= 0:
        return None
    try:
        return finished / total
    except OverflowError:
        return None
