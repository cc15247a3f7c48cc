"""Which groups need attention, by the same definitions as the events of the clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, or_

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import WatchState
from recorder.store.dialects.functions import seconds_between
from recorder.store.tables import summaries, watches

_IS_WATCHED = watches.c.state == WatchState.WATCHING.value


UNCHANGED_SECONDS = seconds_between(summaries.c.standing_since, watches.c.last_seen_at)
"""For how long the counts of an active group were seen not to change, where `summaries` is joined."""


def stands_still(now: datetime, stall_after: timedelta) -> ColumnElement[bool]:
    """The condition that a watched group was seen active for `stall_after` without a change of its counts,
    where `summaries` is joined."""
    return and_(
        _IS_WATCHED,
        summaries.c.standing_since <= now - stall_after,
        stall_after.total_seconds() <= UNCHANGED_SECONDS,
    )


def stalled_groups(now: datetime, stall_after: timedelta) -> ColumnElement[bool]:
    """The condition that a group stands still, where `watches` stands alone."""
    return exists().where(summaries.c.taskgroup_id == watches.c.taskgroup_id, stands_still(now, stall_after))


def short_groups(now: datetime, window: timedelta) -> ColumnElement[bool]:
    """The condition that a watched group has been settled for longer than `window` with fewer runs than
    expected, and has no open gap."""
    return and_(
        _IS_WATCHED,
        watches.c.phase == Phase.SETTLED.value,
        watches.c.finished < watches.c.expected_runs,
        watches.c.last_seen_at.is_not(None),
        watches.c.head_at < now - window,
        watches.c.gap_at > now,
    )


def overdue_groups(now: datetime) -> ColumnElement[bool]:
    """The condition that a group was expected to be done by now and is not, as far as can be known.

    One that is watched was asked for since the expected time, or has an open gap.
    """
    asked = or_(watches.c.last_asked_at >= watches.c.expected_by, watches.c.gap_at <= now)
    return and_(
        watches.c.expected_by <= now,
        or_(
            watches.c.phase.is_(None),
            watches.c.phase != Phase.SETTLED.value,
            watches.c.finished < watches.c.expected_runs,
        ),
        or_(watches.c.state == WatchState.PAUSED.value, and_(_IS_WATCHED, asked)),
    )
