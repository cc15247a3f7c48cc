"""All groups at a glance: counts across them, and pages of groups with what a person wants to see of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from sqlalchemy import Connection

from recorder.completion.episode_json import episode_members
from recorder.completion.episodes import Episode, open_episode
from recorder.ledger.group_id import check_taskgroup_id
from recorder.ledger.status_fields import Phase
from recorder.ledger.timestamps import format_time, parse_time
from recorder.ledger.watch import WatchState
from recorder.queries.eta import etas_of
from recorder.queries.groups import GroupsQuery, group_body, groups_filter
from recorder.queries.paging import ForeignCursorError, Page, PagePosition, Paging
from recorder.queries.param_types import LIMIT_WORDS, LimitParam, complaint
from recorder.queries.recorders import is_recording, late_body, rate_budget_body, recorder_body
from recorder.store.clock_events import read_upstream_state
from recorder.store.derived import find_summaries
from recorder.store.episode_rows import find_completed
from recorder.store.group_counts import kept_group_counts
from recorder.store.group_order import GroupOrder, GroupPosition
from recorder.store.groups import GroupItem, count_groups, list_ordered
from recorder.store.heartbeats import Heartbeat, heartbeats
from recorder.store.notes import newest_notes
from recorder.store.totals import read_work_counts
from recorder.store.traces import TracePoint, read_traces

OVERVIEW_LIMIT = 50
MOST_COUNTED = 10_000
"""Counting the groups that match stops here."""


def _order(text: object) -> GroupOrder:
    try:
        return GroupOrder(str(text))
    except ValueError:
        raise complaint(f"is not one of {', '.join(GroupOrder)}") from None


OrderOfGroups = Annotated[
    GroupOrder,
    BeforeValidator(_order),
    WithJsonSchema({"type": "string", "enum": list(GroupOrder), "default": GroupOrder.NEWEST.value}),
]


class OverviewQuery(GroupsQuery):
    """Which groups to show, and in which order."""

    text: str | None = Field(None, description="only groups with this text in their id or metadata")
    sort: OrderOfGroups = Field(GroupOrder.NEWEST, description=f"one of {', '.join(GroupOrder)}")
    limit: LimitParam = Field(OVERVIEW_LIMIT, description=LIMIT_WORDS)


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """A page of groups and their estimates; `matching` is how many groups match, at most MOST_COUNTED + 1."""

    groups: Sequence[GroupItem]
    etas: dict[str, dict[str, Any]]
    next: str | None
    matching: int


def overview_page(
    connection: Connection, query: OverviewQuery, now: datetime, cohort_key: str | None
) -> OverviewPage:
    """Read a page of groups.

    Raises:
        ForeignCursorError: the cursor belongs to another query.
    """
    paging = Paging("", query)
    matching = replace(groups_filter(query, now), text=query.text)
    after = _position(paging.position(query.cursor))
    groups, last = list_ordered(connection, matching, query.sort, limit=query.limit, after=after)
    place = None if last is None else (format_time(last[0]), last[1])
    page: Page[GroupItem] = paging.page(groups, place)
    return OverviewPage(
        groups,
        etas_of(connection, groups, cohort_key),
        page.next,
        # All that match are on this page, or they have to be counted.
        len(groups)
        if after is None and last is None
        else count_groups(connection, matching, most=MOST_COUNTED + 1),
    )


def totals_answer(connection: Connection, now: datetime, rate: float) -> dict[str, Any]:
    """Return counts across all groups, and the condition of the provider and the recorders, as JSON values.

    `rate` is the limit that the recorders share unless they report another, in requests per second. A day
    begins at midnight UTC.
    """
    counts, recorders = kept_group_counts(connection, now), heartbeats(connection)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    work = read_work_counts(connection, now, today)
    return {
        "groups": sum(counts.states.values()),
        "watching": counts.states.get(WatchState.WATCHING, 0),
        "phases": {phase.value: counts.phases.get(phase, 0) for phase in Phase},
        "never_seen": counts.phases.get(None, 0),
        "stalled": work.stalled,
        "overdue": work.overdue,
        "settled_today": work.settled,
        "open_gaps": counts.open_gaps,
        "entries": counts.entries,
        "polls_per_second": _polls_per_second(recorders, now),
        "upstream": _upstream_body(connection),
        "recording": is_recording(recorders, now),
        "recorders": [recorder_body(beat, now) for beat in recorders],
        "rate_budget": rate_budget_body(recorders, now, rate),
        "late": late_body(recorders, counts, now),
    }


def _polls_per_second(recorders: Sequence[Heartbeat], now: datetime) -> float | None:
    """Return how many polls the living recorders have made per second since they started, in all."""
    alive = [beat for beat in recorders if beat.is_alive(now)]
    if not alive:
        return None
    least = timedelta(seconds=1)
    return sum(
        beat.counters.get("polls", 0) / max(beat.heartbeat_at - beat.started_at, least).total_seconds()
        for beat in alive
    )


def _upstream_body(connection: Connection) -> dict[str, Any]:
    state = read_upstream_state(connection)
    times = {
        "failing_since": state.failing_since,
        "down_since": state.down_since,
        "rejected_since": state.rejected_since,
    }
    return {name: None if time is None else format_time(time) for name, time in times.items()}


def overview_rows(connection: Connection, page: OverviewPage, now: datetime) -> list[dict[str, Any]]:
    """Return the bodies of a page's groups, each with `note` (the newest one), `episode` (the newest one,
    without milestones) and `trace` (the recent progress)."""
    groups = page.groups
    ids = [group.watch.taskgroup_id for group in groups]
    notes, traces = newest_notes(connection, ids), read_traces(connection, ids)
    newest = _newest_episodes(connection, groups)
    return [
        {
            **group_body(group, page.etas[taskgroup_id], now),
            "note": notes.get(taskgroup_id),
            "episode": newest.get(taskgroup_id),
            "trace": _trace(traces.get(taskgroup_id, []), group),
        }
        for taskgroup_id, group in zip(ids, groups, strict=True)
    ]


def _newest_episodes(connection: Connection, groups: Sequence[GroupItem]) -> dict[str, dict[str, Any]]:
    summaries = find_summaries(connection, [group.watch.taskgroup_id for group in groups])
    found: dict[str, Episode] = {}
    ended: dict[str, int] = {}
    for group in groups:
        taskgroup_id = group.watch.taskgroup_id
        summary = summaries.get(taskgroup_id)
        if summary is None:
            continue
        current = open_episode(summary.work, group.watch.open)
        if current is not None:
            found[taskgroup_id] = current
        elif summary.work.episodes:
            ended[taskgroup_id] = summary.work.episodes
    found |= find_completed(connection, ended)
    return {taskgroup_id: episode_members(episode) for taskgroup_id, episode in found.items()}


def _trace(points: list[TracePoint], group: GroupItem) -> list[tuple[datetime, int | None, int | None]]:
    """Return the recent progress, up to when the group was last seen."""
    trace = [(point.at, point.finished, point.total) for point in points]
    if trace and group.watch.open is not None:
        trace.append((group.watch.open.last_seen_at, *trace[-1][1:]))
    return trace


def _position(position: PagePosition | None) -> GroupPosition | None:
    if position is None:
        return None
    try:
        placed_at, taskgroup_id = position
        return parse_time(str(placed_at)), check_taskgroup_id(str(taskgroup_id))
    except ValueError:
        raise ForeignCursorError from None
