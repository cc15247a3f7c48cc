"""Events that no entry causes: time has passed, or all recorders together see something.

Several recorders may look at the same time. The primary key of `events` keeps them from writing one twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    cast,
    exists,
    func,
    select,
    text,
    update,
)

from recorder.ledger.chain import expectation_members
from recorder.ledger.entries import Expectation
from recorder.ledger.timestamps import format_time
from recorder.notify.events import Event, EventType
from recorder.notify.upstream import UpstreamReport, UpstreamState, judge
from recorder.store.attention import UNCHANGED_SECONDS, overdue_groups, short_groups, stands_still
from recorder.store.dialects.functions import time_text
from recorder.store.event_tables import events, upstream_state
from recorder.store.events import add_events
from recorder.store.tables import NOT_DONE, SHORT, episodes, summaries, watches
from recorder.store.underived import is_derived

FOUND_AT_ONCE = 500
"""The maximum number of groups about which an event of a type is found at once."""


def find_stalled(connection: Connection, stall_after: timedelta, now: datetime) -> list[Event]:
    """Return an event for each watched group that has newly been seen active for `stall_after` or longer
    without a change of its counts."""
    told = _told(EventType.STALLED, cast(summaries.c.standing_seq, Text))
    statement = (
        select(
            summaries.c.taskgroup_id,
            summaries.c.standing_seq,
            summaries.c.standing_since,
            watches.c.last_seen_at,
            UNCHANGED_SECONDS.label("seconds"),
        )
        .join_from(summaries, watches, watches.c.taskgroup_id == summaries.c.taskgroup_id)
        .where(stands_still(now, stall_after), is_derived(), ~told)
        .limit(FOUND_AT_ONCE)
    )
    return [
        Event(
            EventType.STALLED,
            str(row.standing_seq),
            now,
            row.taskgroup_id,
            row.standing_seq,
            {
                "taskgroup_id": row.taskgroup_id,
                "seq": row.standing_seq,
                "since": format_time(row.standing_since),
                "last_seen_at": format_time(row.last_seen_at),
                "unchanged_seconds": row.seconds,
            },
        )
        for row in connection.execute(statement)
    ]


def find_short(connection: Connection, window: timedelta, now: datetime) -> list[Event]:
    """Return an event for each watched group that has newly been settled for longer than `window` with fewer
    runs than expected.

    The time counts from the first response after the newest watch entry, since runs that an expectation is
    about may not have been seen before it. While a group has an open gap, nobody knows how it is.
    """
    number = (
        select(func.max(episodes.c.number))
        .where(episodes.c.taskgroup_id == watches.c.taskgroup_id)
        .scalar_subquery()
    )
    statement = (
        select(watches, number.label("number"))
        .where(
            # As text, so that the planner sees the condition of the partial index.
            text(SHORT),
            short_groups(now, window),
            is_derived(),
            ~_told(EventType.SHORT, cast(number, Text)),
        )
        .limit(FOUND_AT_ONCE)
    )
    return [
        _of_expectation(
            EventType.SHORT,
            str(row.number),
            row,
            now,
            {"number": row.number, "runs": row.finished, "since": format_time(row.head_at)},
        )
        for row in connection.execute(statement)
    ]


def find_overdue(connection: Connection, now: datetime) -> list[Event]:
    """Return an event for each group that is not done although its expected time has newly passed.

    A group that is being watched must have been asked for since then, or have an open gap.
    """
    statement = (
        select(watches)
        .where(
            text(NOT_DONE),
            overdue_groups(now),
            # The labels of the group decide who is told.
            is_derived(),
            ~_told(EventType.OVERDUE, time_text(watches.c.expected_by)),
        )
        .limit(FOUND_AT_ONCE)
    )
    return [
        _of_expectation(
            EventType.OVERDUE,
            format_time(row.expected_by),
            row,
            now,
            {"phase": row.phase, "finished": row.finished},
        )
        for row in connection.execute(statement)
    ]


def _told(kind: EventType, subject: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a group of `watches` has an event of this type with this subject."""
    return exists().where(
        events.c.taskgroup_id == watches.c.taskgroup_id,
        events.c.type == kind.value,
        events.c.subject == subject,
    )


def _of_expectation(
    kind: EventType, subject: str, row: Row[Any], now: datetime, data: dict[str, Any]
) -> Event:
    place = {"taskgroup_id": row.taskgroup_id, "seq": row.head_seq}
    expected = expectation_members(Expectation(row.expected_runs, row.expected_by))
    return Event(kind, subject, now, row.taskgroup_id, row.head_seq, {**place, **data, "expected": expected})


def read_upstream_state(connection: Connection, *, lock: bool = False) -> UpstreamState:
    """Return how the upstream responds to all recorders; with `lock`, others wait to change it."""
    statement = select(upstream_state)
    row: Row[tuple[object, ...]] = connection.execute(
        statement.with_for_update() if lock else statement
    ).one()
    return UpstreamState(row.failing_since, row.down_since, row.outages, row.rejected_since, row.rejections)


def report_upstream(
    connection: Connection, report: UpstreamReport, now: datetime, window: timedelta
) -> UpstreamState:
    """Take a recorder's report into the state of the upstream, and write the events that follow."""
    state, new = judge(read_upstream_state(connection, lock=True), report, now, window)
    connection.execute(
        update(upstream_state).values(
            failing_since=state.failing_since,
            down_since=state.down_since,
            outages=state.outages,
            rejected_since=state.rejected_since,
            rejections=state.rejections,
        )
    )
    add_events(connection, new)
    return state
