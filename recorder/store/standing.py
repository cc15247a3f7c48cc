"""How all groups stand together, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from recorder.ledger.status import Phase
from recorder.ledger.watch import WatchState
from recorder.store.readers import count_entries
from recorder.store.tables import watches


@dataclass(frozen=True, slots=True)
class Standing:
    """Counts of groups by phase (None: never seen) and by state of the watch, of gaps that are open, of polls
    that are due, and of entries; and how late the poll is that is due longest, in seconds."""

    phases: Mapping[Phase | None, int]
    states: Mapping[WatchState, int]
    open_gaps: int
    due: int
    late_seconds: float
    entries: int


def read_standing(connection: Connection, now: datetime) -> Standing:
    """Return how all groups stand at `now`."""
    phases: Counter[Phase | None] = Counter()
    states: Counter[WatchState] = Counter()
    grouped = select(watches.c.phase, watches.c.state, func.count().label("groups"))
    for row in connection.execute(grouped.group_by(watches.c.phase, watches.c.state)):
        phases[None if row.phase is None else Phase(row.phase)] += row.groups
        states[WatchState(row.state)] += row.groups
    waiting = watches.c.owner.is_(None), watches.c.next_poll_at <= now
    longest = func.min(watches.c.next_poll_at, type_=watches.c.next_poll_at.type)
    due, since = connection.execute(select(func.count(), longest).where(*waiting)).one()
    gaps = select(func.count()).where(watches.c.gap_at < now)
    return Standing(
        phases=phases,
        states=states,
        open_gaps=connection.scalar(gaps) or 0,
        due=due,
        late_seconds=0.0 if since is None else max(0.0, (now - since).total_seconds()),
        entries=count_entries(connection),
    )
