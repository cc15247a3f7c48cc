"""Counts across all groups that take more than the watch rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from recorder.ledger.watch import WatchState
from recorder.notify.events import EventType
from recorder.store.attention import overdue_groups
from recorder.store.derived import groups_with
from recorder.store.event_tables import events
from recorder.store.tables import episodes, group_labels, summaries, watches


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
    return connection.scalar(select(func.count()).select_from(watches).where(overdue_groups(now))) or 0


def count_anomalous_groups(connection: Connection) -> dict[str, int]:
    """Return how many groups each anomaly was found in, by its name."""
    found = select(events.c.subject, func.count().label("groups")).where(
        events.c.type == EventType.ANOMALY.value
    )
    rows = connection.execute(found.group_by(events.c.subject))
    return {row.subject: row.groups for row in rows}


def has_label(connection: Connection, key: str) -> bool:
    """Whether any group has a text, number, truth value or null for this key in its metadata."""
    return connection.execute(groups_with(key).limit(1)).first() is not None


def label_names(connection: Connection, most: int) -> list[str]:
    """Return up to `most` keys of the groups' metadata, sorted."""
    found = select(group_labels.c.name).where(group_labels.c.name.is_not(None)).distinct().limit(most)
    return sorted(connection.scalars(found).all())
