"""Read what the watched groups need of the schedule, and mend plans that another clock made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Connection,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import WatchState
from recorder.store.dialects.functions import seconds_between
from recorder.store.tables import Time, watches

INTERVAL_MARGIN = 1.5
"""A poll that is planned for more than this many intervals ahead was planned by another clock."""
MANY_POLLS = 50
"""After this many equal responses in a row, a group's poll interval does not depend on their number."""
QUIET_SECONDS = tuple(1.5**power for power in range(40))
"""How long a group has been quiet is told as the longest of these times that is not longer."""
LONG_QUIET_SECONDS = 7200.0


@dataclass(frozen=True, slots=True)
class QuietGroups:
    """Watched groups that have about the same poll interval, and how many they are.

    `phase` is None for groups that were never seen. `polls` is the number of equal responses in a row, at
    most MANY_POLLS. `interrupted` is whether these began after the body last changed. `quiet_seconds` is the
    time since that change, rounded down; 0 if it is shorter than LONG_QUIET_SECONDS and not `interrupted`.
    """

    phase: Phase | None
    polls: int
    interrupted: bool
    quiet_seconds: float
    groups: int


def workload(connection: Connection, now: datetime) -> list[QuietGroups]:
    """Count the watched groups by what their poll intervals depend on, at `now`."""
    polls = func.coalesce(case((watches.c.polls > MANY_POLLS, MANY_POLLS), else_=watches.c.polls), 0)
    since = watches.c.quiet_since
    interrupted = func.coalesce(watches.c.head_at > since, false())
    short = now - timedelta(seconds=LONG_QUIET_SECONDS)
    is_short = and_(not_(interrupted), since > short)
    longer = [
        (since <= now - timedelta(seconds=seconds), index)
        for index, seconds in reversed(list(enumerate(QUIET_SECONDS, start=1)))
    ]
    quiet = case((is_short, 0), *longer, else_=0)
    statement = (
        select(watches.c.phase, polls, interrupted, quiet, func.count())
        .where(watches.c.state == WatchState.WATCHING.value)
        .group_by(watches.c.phase, polls, interrupted, quiet)
    )
    return [
        QuietGroups(phase and Phase(phase), polls, bool(broken), (0.0, *QUIET_SECONDS)[index], count)
        for phase, polls, broken, index, count in connection.execute(statement)
    ]


def planned_polls(connection: Connection, since: datetime, slot: timedelta, slots: int) -> dict[int, int]:
    """Count the planned polls by slot of time from `since` on; overdue ones are in slot 0."""
    milliseconds = cast(seconds_between(literal(since, Time), watches.c.next_poll_at) * 1000, BigInteger)
    number = milliseconds // max(1, round(slot.total_seconds() * 1000))
    statement = (
        select(number, func.count()).where(watches.c.next_poll_at < since + slot * slots).group_by(number)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def last_response_at(connection: Connection) -> datetime | None:
    """Return when a group was last seen, of those whose newest entry is a status; None if there is none."""
    found: datetime | None = connection.scalar(select(func.max(watches.c.last_seen_at)))
    return found


def make_due(
    connection: Connection,
    now: datetime,
    *,
    longest: timedelta,
    longest_retry: timedelta,
    alive: Collection[str],
) -> int:
    """Make groups due at `now` whose next poll is planned too far ahead; return how many there were.

    No poll is planned for later than `longest` from now, or for much later than its group's own interval, or,
    after a failure, for later than `longest_retry`. Only a clock that was set makes such plans. Claims are
    ignored if their owner is not one of the recorders that are `alive`. Rows that another session has locked
    are skipped.
    """
    usual, retry = now + longest, now + max(longest, longest_retry)
    owner, next_poll_at, lease_until = watches.c.owner, watches.c.next_poll_at, watches.c.lease_until
    due_from = case((lease_until > next_poll_at, lease_until), else_=next_poll_at).label("due_from")
    far = (
        select(watches.c.taskgroup_id, due_from, watches.c.interval_seconds, watches.c.failures)
        .where(due_from > usual, or_(owner.is_(None), owner.not_in(alive)))
        .with_for_update(skip_locked=True)
    )
    ids = [
        row.taskgroup_id
        for row in connection.execute(far)
        if row.due_from
        > max(
            usual if row.failures is None else retry,
            now + timedelta(seconds=INTERVAL_MARGIN * (row.interval_seconds or 0)),
        )
    ]
    if ids:
        due = {"next_poll_at": now, "owner": None, "lease_until": None}
        connection.execute(update(watches).where(watches.c.taskgroup_id.in_(ids)).values(due))
    return len(ids)
