"""What the watched groups ask of the schedule, and mending it where a clock was set back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, case, func, select, update

from recorder.ledger.status import Phase
from recorder.ledger.watch import WatchState
from recorder.store.tables import watches

MANY_POLLS = 50
"""From so many equal responses in a row on, a group's pace does not change any more."""


def workload(connection: Connection) -> list[tuple[Phase | None, int, int]]:
    """Return how many watched groups are in which phase after how many equal responses (MANY_POLLS at most).

    Items are (phase, responses, groups); the phase is None for groups that were never seen.
    """
    polls = func.coalesce(case((watches.c.polls > MANY_POLLS, MANY_POLLS), else_=watches.c.polls), 0)
    statement = (
        select(watches.c.phase, polls, func.count())
        .where(watches.c.state == WatchState.WATCHING.value)
        .group_by(watches.c.phase, polls)
    )
    return [(phase and Phase(phase), polls, count) for phase, polls, count in connection.execute(statement)]


def make_due(connection: Connection, now: datetime, latest: datetime) -> int:
    """Let groups be due at `now` whose next poll is planned for after `latest`; return how many.

    No plan reaches so far: it was made before the clock was set back.
    """
    far = update(watches).where(watches.c.next_poll_at > latest, watches.c.owner.is_(None))
    return connection.execute(far.values(next_poll_at=now)).rowcount
