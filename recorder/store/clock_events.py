"""Events that no entry causes: time has passed, or all recorders together see something.

Several recorders may look at the same time. The primary key of `events` keeps them from writing one twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, exists, select, update

from recorder.ledger.timestamps import format_time
from recorder.ledger.watch import WatchState
from recorder.notify.events import Event, EventType
from recorder.notify.upstream import UpstreamReport, UpstreamState, judge
from recorder.store.dialects.functions import seconds_between
from recorder.store.events import add_events
from recorder.store.tables import events, summaries, upstream_state, watches

STALL_BATCH = 500
"""The maximum number of groups that are found to stand still at once."""


def find_stalled(connection: Connection, stall_after: timedelta, now: datetime) -> list[Event]:
    """Return an event for each watched group that has newly been seen active for `stall_after` or longer
    without a change of its counts."""
    seconds = seconds_between(summaries.c.standing_since, watches.c.last_seen_at)
    told = exists().where(
        events.c.taskgroup_id == summaries.c.taskgroup_id,
        events.c.type == EventType.STALLED.value,
        events.c.seq == summaries.c.standing_seq,
    )
    statement = (
        select(
            summaries.c.taskgroup_id,
            summaries.c.standing_seq,
            summaries.c.standing_since,
            watches.c.last_seen_at,
            seconds.label("seconds"),
        )
        .join_from(summaries, watches, watches.c.taskgroup_id == summaries.c.taskgroup_id)
        .where(
            summaries.c.standing_since <= now - stall_after,
            watches.c.state == WatchState.WATCHING.value,
            seconds >= stall_after.total_seconds(),
            ~told,
        )
        .limit(STALL_BATCH)
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
