"""How recent the data is. Readers judge by this time, since a standby may be behind its primary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from recorder.clock import Clock
from recorder.store.dialects.registry import dialect_of
from recorder.store.tables import recorders


@dataclass(frozen=True, slots=True)
class DataTime:
    """The moment up to which a snapshot has all changes, and `now`, both by the database's clock.

    They differ only on a standby: whether polls after `at` were made cannot be known there yet.
    """

    at: datetime
    now: datetime

    @property
    def age_seconds(self) -> float:
        return max(0.0, (self.now - self.at).total_seconds())


def data_time(connection: Connection, clock: Clock | None = None) -> DataTime:
    """Return how recent the data is that a transaction reads; to be called first in it.

    With a `clock`, `now` is its time instead of the database's.
    """
    found = dialect_of(connection).replica_time(connection)
    now = found.now if clock is None else clock()
    behind = found.behind
    if behind is None:
        column = recorders.c.heartbeat_at
        newest = connection.scalar(select(func.max(column, type_=column.type)))
        behind = timedelta() if newest is None else found.now - newest
    return DataTime(now - max(behind, timedelta()), now)
