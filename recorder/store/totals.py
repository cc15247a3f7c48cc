"""Counts across all groups that take more than the watch rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, not_, or_, select

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import WatchState
from recorder.notify.events import EventType
from recorder.store.event_tables import events
from recorder.store.tables import entries, episodes, group_labels, summaries, watches

_MAY_CHANGE = watches.c.state.in_([WatchState.WATCHING.value, WatchState.PAUSED.value, WatchState.GONE.value])


@dataclass(frozen=True, slots=True)
class WorkCounts:
    """How many groups stand still, how many are not done although they were expected to be, and how many
    episodes ended since a moment."""

    stalled: int
    overdue: int
    settled: int


def read_work_counts(connection: Connection, now: datetime, since: datetime) -> WorkCounts:
    """Return the counts at `now`; episodes count if they ended at or after `since`."""
    return WorkCounts(
        stalled=_stalled(connection),
        overdue=_overdue(connection, now),
        settled=connection.scalar(
            select(func.count()).select_from(episodes).where(episodes.c.completed_at >= since)
        )
        or 0,
    )


def _stalled(connection: Connection) -> int:
    """Count the groups that were found to stand still and whose counts have not changed since then."""
    found = (
        select(func.count())
        .select_from(events)
        .join(
            summaries,
            and_(
                summaries.c.taskgroup_id == events.c.taskgroup_id,
                summaries.c.standing_seq == events.c.seq,
            ),
        )
        .join(watches, watches.c.taskgroup_id == events.c.taskgroup_id)
        .where(events.c.type == EventType.STALLED.value, watches.c.state == WatchState.WATCHING.value)
    )
    return connection.scalar(found) or 0


def _overdue(connection: Connection, now: datetime) -> int:
    newest = and_(entries.c.taskgroup_id == watches.c.taskgroup_id, entries.c.seq == watches.c.status_seq)
    arrived = or_(watches.c.expected_runs.is_(None), entries.c.num_task_runs >= watches.c.expected_runs)
    done = and_(watches.c.phase == Phase.SETTLED.value, func.coalesce(arrived, False))
    found = (
        select(func.count())
        .select_from(watches.outerjoin(entries, newest))
        .where(watches.c.expected_by < now, _MAY_CHANGE, not_(func.coalesce(done, False)))
    )
    return connection.scalar(found) or 0


def count_anomalous_groups(connection: Connection) -> dict[str, int]:
    """Return how many groups each anomaly was found in, by its name."""
    found = select(events.c.subject, func.count().label("groups")).where(
        events.c.type == EventType.ANOMALY.value
    )
    rows = connection.execute(found.group_by(events.c.subject))
    return {row.subject: row.groups for row in rows}


def label_names(connection: Connection, most: int) -> list[str]:
    """Return up to `most` keys of the groups' metadata, sorted."""
    found = select(group_labels.c.name).where(group_labels.c.name.is_not(None)).distinct().limit(most)
    return sorted(connection.scalars(found).all())
