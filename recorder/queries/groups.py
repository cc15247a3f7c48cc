"""Groups: what may be asked about them, and the answers as JSON-ready values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field, ValidationInfo, field_validator
from sqlalchemy import Connection

from recorder.ledger.chain import gap_members
from recorder.ledger.group_id import check_taskgroup_id
from recorder.ledger.status_fields import FINISHED_STATUSES, Phase, is_count
from recorder.ledger.timestamps import format_time, parse_time
from recorder.ledger.transitions import open_gap
from recorder.ledger.watch import WatchState
from recorder.queries.eta import eta_of, etas_of
from recorder.queries.history import NOTHING_SAID, status_members
from recorder.queries.label_params import LabelledQuery
from recorder.queries.paging import GROUPS_PATH, ForeignCursorError, PagePosition, Paging
from recorder.queries.params import (
    CURSOR_WORDS,
    DEFAULT_LIMIT,
    LIMIT_WORDS,
    CursorParam,
    ExportQuery,
    FlagParam,
    LimitParam,
    PhasesParam,
    StatesParam,
    TimeParam,
    complaint,
    listing_words,
)
from recorder.store.enrolment import UnknownGroupError
from recorder.store.groups import GroupFilter, GroupItem, count_groups, find_group, list_groups


class GroupsQuery(ExportQuery, LabelledQuery):
    """Which groups to list."""

    phase: PhasesParam = Field(None, description=listing_words("only groups in one of these phases", Phase))
    state: StatesParam = Field(
        None, description=listing_words("only groups with a watch in one of these states", WatchState)
    )
    late: FlagParam = Field(False, description="true: only groups with an open gap")
    created_from: TimeParam = Field(None, description="only groups that were created at or after this time")
    created_to: TimeParam = Field(None, description="only groups that were created before this time")
    changed_from: TimeParam = Field(None, description="only groups with an entry of this time or a later one")
    count: FlagParam = Field(False, description="true: say how many there are in all, up to 10,000")
    limit: LimitParam = Field(DEFAULT_LIMIT, description=LIMIT_WORDS)
    cursor: CursorParam = Field(None, description=CURSOR_WORDS)

    @field_validator("created_to")
    @classmethod
    def _not_before_from(cls, to: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("created_from")
        if since is not None and to is not None and since > to:
            raise complaint("lies before created_from")
        return to


MAX_COUNT = 10_000
"""Counting stops there: it should not cost more than the page."""


@dataclass(frozen=True, slots=True)
class GroupListing:
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
) -> GroupListing:
    """Read a page of groups, the newest enrolment first; `cohort_key` tells which are alike.

    Raises:
        ForeignCursorError: the cursor is of another query.
    """
    paging = Paging(GROUPS_PATH, query)
    question = groups_question(query, now)
    after = _enrolment(paging.position())
    groups = list_groups(connection, question, limit=query.limit + 1, after=after)
    count = count_groups(connection, question, most=MAX_COUNT + 1) if query.count else None
    shown = groups[: query.limit]
    return GroupListing(
        paging, shown, len(groups) > query.limit, count, etas_of(connection, shown, cohort_key)
    )


def groups_question(query: GroupsQuery, now: datetime) -> GroupFilter:
    """Return which groups are asked for; open gaps are those at `now`."""
    return GroupFilter(
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


def require_group(connection: Connection, taskgroup_id: str) -> GroupItem:
    """Return a group.

    Raises:
        UnknownGroupError: it was never watched.
    """
    try:
        group = find_group(connection, check_taskgroup_id(taskgroup_id))
    except ValueError as error:
        raise UnknownGroupError(f"{taskgroup_id!r} {error}") from None
    if group is None:
        raise UnknownGroupError(f"no group {taskgroup_id!r} was ever watched")
    return group


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
    """A group as it stands, with its `eta`; its open gap is the one at `now`."""
    watch, said = group.watch, _latest(group)
    gap = open_gap(watch, now)
    return {
        "taskgroup_id": watch.taskgroup_id,
        "state": watch.state.value,
        "phase": said["phase"],
        "created_at": said["created_at"],
        "metadata": said["metadata"],
        "status": said["status"],
        "seq": said["seq"],
        "observed_at": said["observed_at"],
        "last_seen_at": said["last_seen_at"],
        "polls": said["polls"],
        "due_at": _time(watch.due_at),
        "interval_seconds": group.interval_seconds,
        "progress": progress_body(said["status"]),
        "open_gap": None if gap is None else gap_members(gap),
        "anomalies": said["anomalies"],
        "eta": eta,
    }


def status_body(group: GroupItem) -> dict[str, Any]:
    """A group's latest status."""
    said = _latest(group)
    return {
        "taskgroup_id": group.watch.taskgroup_id,
        "phase": said["phase"],
        "status": said["status"],
        "seq": said["seq"],
        "observed_at": said["observed_at"],
        "last_seen_at": said["last_seen_at"],
        "polls": said["polls"],
        "anomalies": said["anomalies"],
        "digest": said["digest"],
    }


def progress_body(status: dict[str, Any] | None) -> dict[str, Any]:
    """How many runs have finished; an absent count is 0, what is no whole number is not known."""
    counts, total = (status or {}).get("task_run_status_counts"), (status or {}).get("num_task_runs")
    said: list[Any] = [None]
    if isinstance(counts, dict):
        said = [counts.get(name, 0) for name in FINISHED_STATUSES]
    finished = sum(said) if all(is_count(count) for count in said) else None
    total = total if is_count(total) else None
    return {"finished": finished, "total": total, "fraction": _fraction(finished, total)}


def _latest(group: GroupItem) -> dict[str, Any]:
    item = group.latest
    if item is None:
        return {**NOTHING_SAID, "seq": None, "digest": None}
    return {**status_members(item, json.loads), "seq": item.seq, "digest": item.digest}


def _fraction(finished: int | None, total: int | None) -> float | None:
    if finished is None or total is None or total <= 0:
        return None
    try:
        return finished / total
    except OverflowError:
        return None


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
