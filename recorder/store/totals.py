"""Counts across all groups that take more than the watch rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, Connection, Text, and_, cast, func, select, type_coerce

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.watch import WatchState
from recorder.notify.events import EventType
from recorder.store.attention import overdue_groups
from recorder.store.data_cache import kept
from recorder.store.derived import groups_with
from recorder.store.event_tables import events
from recorder.store.tables import episodes, group_labels, summaries, watches

_JSON_TEXT = Text().with_variant(JSON(), "postgresql")
"""What SQLite takes members from is a text."""


@dataclass(frozen=True, slots=True)
class WorkCounts:
    """How many groups stand still, how many are not done although they were expected to be, and how many
    episodes ended since a moment."""

    stalled: int
    overdue: int
    settled: int


def read_work_counts(connection: Connection, now: datetime, since: datetime) -> WorkCounts:
    """Return the counts at `now`; episodes count if they ended at or after `since`.

    The connection must be one that never writes.
    """
    return WorkCounts(
        stalled=kept(connection, "stalled", lambda: _stalled(connection)),
        overdue=_overdue(connection, now),
        settled=kept(connection, ("settled", since), lambda: _settled(connection, since)),
    )


def _settled(connection: Connection, since: datetime) -> int:
    ended = select(func.count()).select_from(episodes).where(episodes.c.completed_at >= since)
    return connection.scalar(ended) or 0


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


def ledger_totals(connection: Connection) -> tuple[int, int]:
    """Return how many groups there are, and how many entries they have in all."""
    entries_of_all = func.coalesce(func.sum(watches.c.head_seq), 0)
    row = connection.execute(select(func.count(), entries_of_all).select_from(watches)).one()
    return row[0], int(row[1])


def count_anomalous_groups(connection: Connection) -> dict[str, int]:
    """Return how many groups each anomaly was found in, by its name.

    Events would not do: no import and no upgrade writes those of older entries.
    """
    summary = type_coerce(cast(summaries.c.summary, _JSON_TEXT), JSON)
    found = summary["anomalies"].as_string().label("names")
    counts: Counter[str] = Counter()
    some = select(found, func.count().label("groups")).where(found != "[]").group_by(found)
    for row in connection.execute(some):
        counts.update(dict.fromkeys(json.loads(row.names), row.groups))
    return {anomaly.value: counts[anomaly] for anomaly in Anomaly if counts[anomaly]}


def has_label(connection: Connection, key: str) -> bool:
    """Whether any group has a text, number, truth value or null for this key in its metadata."""
    return connection.execute(groups_with(key).limit(1)).first() is not None


def label_names(connection: Connection, most: int) -> list[str]:
    """Return up to `most` keys of the groups' metadata, sorted."""
    found = select(group_labels.c.name).where(group_labels.c.name.is_not(None)).distinct().limit(most)
    return sorted(connection.scalars(found).all())
