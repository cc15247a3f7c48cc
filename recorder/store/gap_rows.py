"""Read the gaps of all groups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from recorder.ledger.entries import Kind
from recorder.ledger.transitions import open_gap
from recorder.store.mapping import watch_of
from recorder.store.tables import entries, is_kind, watches


@dataclass(frozen=True, slots=True)
class GroupGap:
    """A gap of a group; `to` is None while it is open."""

    taskgroup_id: str
    from_: datetime
    to: datetime | None
    cause: str


def read_all_gaps(
    connection: Connection, since: datetime | None, until: datetime | None, now: datetime
) -> list[GroupGap]:
    """Return the gaps of all groups that meet [`since`, `until`), open ones as of `now`, by their start."""
    closed = select(entries.c.taskgroup_id, entries.c.gap_from, entries.c.at, entries.c.gap_cause).where(
        is_kind(Kind.GAP)
    )
    if since is not None:
        closed = closed.where(entries.c.at > since)
    if until is not None:
        closed = closed.where(entries.c.gap_from < until)
    gaps = [
        GroupGap(row.taskgroup_id, row.gap_from, row.at, row.gap_cause) for row in connection.execute(closed)
    ]
    for row in connection.execute(select(watches).where(watches.c.gap_at < now)):
        gap = open_gap(watch_of(row), now)
        if gap is not None and (until is None or gap.from_ < until) and (since is None or since < now):
            gaps.append(GroupGap(row.taskgroup_id, gap.from_, None, gap.cause.value))
    return sorted(gaps, key=lambda gap: (gap.from_, gap.taskgroup_id))


def count_open_gaps(connection: Connection, now: datetime) -> int:
    """Return how many groups have an open gap as of `now`."""
    return connection.scalar(select(func.count()).where(watches.c.gap_at < now)) or 0


def recorded_extent(connection: Connection) -> tuple[datetime, datetime] | None:
    """Return when the first group was enrolled and when any was last seen or changed; None without groups."""
    time = watches.c.enrolled_at.type
    row = connection.execute(
        select(
            func.min(watches.c.enrolled_at, type_=time),
            func.max(watches.c.head_at, type_=time),
            func.max(watches.c.last_seen_at, type_=time),
        )
    ).one()
    first, changed, seen = row
    return None if first is None else (first, max(moment for moment in (changed, seen) if moment is not None))
