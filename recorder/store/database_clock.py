"""The clock that everything on one database shares: leases, plans, gaps and heartbeats are times of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text

from recorder.clock import Clock, SteadyClock, steady_seconds, utc_now
from recorder.store.dialects.registry import dialect_of
from recorder.store.transactions import DatabaseUnavailableError, reading

MAX_ROUND_TRIP_SECONDS = 2.0
"""A database that takes longer to tell the time is not believed."""
_READINGS = 3


class DatabaseClock:
    """The clock of the database, as far as this process can tell.

    A database server has a clock of its own, to which machines with different clocks can agree. Between
    measurements the time is counted by the steady clock, so that setting this machine's clock changes
    nothing. A database without a server is used by one machine, whose own clock is the shared one.
    """

    def __init__(self, own: Clock = utc_now, steady: SteadyClock = steady_seconds) -> None:
        self._own = own
        self._steady = steady
        self._anchor: tuple[datetime, float] | None = None
        self._ready = False

    def __call__(self) -> datetime:
        """Return the current time; this machine's own until the first measurement."""
        anchor = self._anchor
        if anchor is None:
            return self._own()
        at, steady = anchor
        return at + timedelta(seconds=self._steady() - steady)

    @property
    def ready(self) -> bool:
        """Whether the database's clock was measured, or need not be."""
        return self._ready

    def offset_seconds(self) -> float | None:
        """Return how far this machine's clock is ahead of the database's; None if that is not known yet."""
        return round((self._own() - self()).total_seconds(), 3) if self._ready else None

    def measure(self, connection: Connection) -> None:
        """Read the database's clock.

        If that takes longer than MAX_ROUND_TRIP_SECONDS, nothing changes: the clock keeps counting from the
        last measurement, or is still not ready.
        """
        query = dialect_of(connection).clock_query
        if query is None:
            self._ready = True
            return
        readings = (self._reading(connection, query) for _ in range(_READINGS))
        earliest, latest, steady, own = min(readings, key=lambda reading: reading[1] - reading[0])
        if (latest - earliest).total_seconds() > MAX_ROUND_TRIP_SECONDS:
            return
        # A clock that the measurement does not contradict is kept: replacing it would only add noise.
        counted = self._at(steady)
        if counted is None or not earliest <= counted <= latest:
            middle = earliest + (latest - earliest) / 2
            self._anchor = (own if earliest <= own <= latest else middle, steady)
        self._ready = True

    def _reading(self, connection: Connection, query: str) -> tuple[datetime, datetime, float, datetime]:
        """Return the earliest and latest time that it can be now, and both clocks of this machine."""
        asked = self._steady()
        told: datetime = connection.execute(text(query)).scalar_one()
        own, answered = self._own(), self._steady()
        return told, told + timedelta(seconds=answered - asked), answered, own

    def _at(self, steady: float) -> datetime | None:
        anchor = self._anchor
        return None if anchor is None else anchor[0] + timedelta(seconds=steady - anchor[1])


def clock_of(connection: Connection) -> DatabaseClock:
    """Return the clock of a database.

    Raises:
        DatabaseUnavailableError: the database takes too long to tell the time.
    """
    clock = DatabaseClock()
    clock.measure(connection)
    if not clock.ready:
        raise DatabaseUnavailableError(
            f"it took more than {MAX_ROUND_TRIP_SECONDS:g} s to tell the time, so its clock is not known"
        )
    return clock


def measured_clock(engine: Engine) -> DatabaseClock:
    """Return the clock of a database that is not open yet.

    Raises:
        DatabaseUnavailableError: the database cannot be read, or takes too long to tell the time.
    """
    with reading(engine) as connection:
        return clock_of(connection)
