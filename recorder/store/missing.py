"""Read how many groups that were seen before are not found any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, or_, select

from recorder.ledger.missing_groups import MissingGroups, half_missing_since, is_missing
from recorder.ledger.watch import WatchState
from recorder.store.mapping import failures_of
from recorder.store.tables import watches

_NOT_FOUND_LAST = watches.c.failures.like('%"missing_since": "%')
"""Narrows the failures to those that end with a 404 or 410, without reading the others."""


@dataclass(frozen=True, slots=True)
class NotFoundGroups:
    """How many watched groups the last poll did not find, and the ids of the first few."""

    count: int = 0
    first: Sequence[str] = ()


def read_not_found(connection: Connection, most: int) -> NotFoundGroups:
    """Return the watched groups whose last poll got a 404 or 410, with up to `most` of their ids."""
    not_found = watches.c.state == WatchState.WATCHING.value, _NOT_FOUND_LAST
    count = connection.scalar(select(func.count()).select_from(watches).where(*not_found)) or 0
    ids = select(watches.c.taskgroup_id).where(*not_found).order_by(watches.c.taskgroup_id).limit(most)
    return NotFoundGroups(count, tuple(connection.scalars(ids)))


def read_missing(connection: Connection) -> MissingGroups:
    """Return the groups that are missing, and how many others have answered since."""
    seen_before = watches.c.state == WatchState.WATCHING.value, watches.c.status_seq.is_not(None)
    found = connection.scalars(select(watches.c.failures).where(*seen_before, _NOT_FOUND_LAST))
    missing = [run for run in map(failures_of, found) if is_missing(run)]
    since = half_missing_since(missing)
    if since is None:
        return MissingGroups()
    answered = select(func.count()).where(
        *seen_before,
        watches.c.last_seen_at >= since,
        or_(watches.c.failures.is_(None), ~_NOT_FOUND_LAST),
    )
    return MissingGroups(len(missing), connection.scalar(answered) or 0, since)
