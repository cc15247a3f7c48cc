"""The recorder's heartbeat: a sign of life with a report, and what it shows of the other recorders."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection

from recorder.clock import SteadyClock
from recorder.ledger.timestamps import format_time, parse_time
from recorder.polling.retry_hold import RetryHold
from recorder.polling.schedule import Intervals, requests_per_second, stretch_of
from recorder.process_identity import this_process
from recorder.status_file import ALIVE_SECONDS
from recorder.store.database_clock import DatabaseClock
from recorder.store.groups import workload
from recorder.store.heartbeats import Heartbeat, beat, heartbeats, sign_off
from recorder.store.leases import release
from recorder.store.transactions import DatabaseUnavailableError

_LOGGED_CHANGE = 0.2
"""The relative change of the stretch from which it is logged again."""

_log = structlog.get_logger("recorder")


@dataclass(frozen=True, slots=True)
class Load:
    """The load on the rate that recorders share.

    `needed` is what the groups need, in requests per second. `stretch` is the factor by which all intervals
    are longer because the rate does not suffice.
    """

    recorders: int
    needed: float
    stretch: float


@dataclass(frozen=True, slots=True)
class Departures:
    """Recorders that are `dead`, and whether others have `left` since the last heartbeat."""

    dead: frozenset[str] = frozenset()
    left: bool = False

    def __or__(self, later: Departures) -> Departures:
        return Departures(self.dead | later.dead, self.left or later.left)

    def __bool__(self) -> bool:
        return self.left or bool(self.dead)


class HeartbeatWriter:
    """Writes the heartbeats of a recorder, and notes which are `alive` and what `load` they share."""

    def __init__(
        self,
        recorder_id: str,
        *,
        rate: float,
        intervals: Intervals,
        clock: DatabaseClock,
        hold: RetryHold,
        steady: SteadyClock,
    ) -> None:
        self.load = Load(1, 0.0, 1.0)
        self.alive = frozenset({recorder_id})
        self._id = recorder_id
        self._rate = rate
        self._intervals = intervals
        self._clock = clock
        self._hold = hold
        self._steady = steady
        self._started_at: datetime | None = None
        self._liveness = LivenessTracker()
        self._logged_stretch = 1.0

    def beat(self, connection: Connection, counters: dict[str, int], report: dict[str, Any]) -> Departures:
        """Measure the database's clock and write a heartbeat; return which recorders have gone.

        Raises:
            DatabaseUnavailableError: the database's clock is not known, so there is no time to write.
        """
        listed = heartbeats(connection)
        self._clock.measure(connection)
        if not self._clock.ready:
            raise DatabaseUnavailableError("it takes too long to tell the time, so its clock is not known")
        now = self._clock()
        self._started_at = self._started_at or now
        dead = frozenset(self._liveness.dead(listed, now, self._steady())) - {self._id}
        alive = frozenset(other.recorder_id for other in listed) - dead | {self._id}
        departures = Departures(dead, left=not self.alive <= alive | dead)
        self.alive = alive
        for other in listed:
            self._learn_hold(other, now)
        beat(connection, self._heartbeat(now, self._started_at, counters, self._report(report, now)))
        return departures

    def survey(self, connection: Connection) -> None:
        """Add up what the watched groups need; this is apart from the heartbeat because it reads them all."""
        needed = requests_per_second(workload(connection), self._intervals)
        self.load = Load(len(self.alive), needed, stretch_of(needed, self._rate))

    def take_over(self, connection: Connection, dead: Collection[str]) -> None:
        """Remove dead recorders and release their claims, before the leases expire."""
        sign_off(connection, dead)
        groups = release(connection, dead, self._clock())
        _log.warning("took over from dead recorders", recorders=sorted(dead), groups=groups)

    def log_load(self) -> None:
        """Log when the rate stops or starts to suffice, and when the shortfall changes."""
        stretch = self.load.stretch
        if abs(stretch - self._logged_stretch) <= _LOGGED_CHANGE * self._logged_stretch and (stretch > 1) == (
            self._logged_stretch > 1
        ):
            return
        self._logged_stretch = stretch
        if stretch > 1:
            _log.warning("the rate does not suffice: all intervals are stretched", **self._figures())
        else:
            _log.info("the rate suffices again", **self._figures())

    def _figures(self) -> dict[str, float]:
        return {
            "requests_per_second": self._rate,
            "needed_per_second": round(self.load.needed, 3),
            "stretch": round(self.load.stretch, 3),
        }

    def _report(self, report: dict[str, Any], now: datetime) -> dict[str, Any]:
        until = self._hold.until if self._hold.holds(now) else None
        return {
            **report,
            "rate": self._figures(),
            "clock_offset_seconds": self._clock.offset_seconds(),
            "held_until": until and format_time(until),
            "process": this_process().as_json(),
        }

    def _learn_hold(self, other: Heartbeat, now: datetime) -> None:
        until = other.report.get("held_until")
        if until is not None and other.recorder_id != self._id:
            self._hold.told(parse_time(until), now)

    def _heartbeat(
        self, now: datetime, started_at: datetime, counters: dict[str, int], report: dict[str, Any]
    ) -> Heartbeat:
        return Heartbeat(
            recorder_id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=started_at,
            heartbeat_at=now,
            counters=counters,
            report=report,
        )


@dataclass(frozen=True, slots=True)
class _Sign:
    heartbeat_at: datetime
    seen_at: float


class LivenessTracker:
    """Remembers when each recorder's heartbeat last changed, by the steady clock."""

    def __init__(self) -> None:
        self._signs: dict[str, _Sign] = {}

    def dead(self, listed: Sequence[Heartbeat], now: datetime, steady: float) -> list[str]:
        """Return the ids of the listed recorders whose heartbeat has not changed for ALIVE_SECONDS.

        `now` is used for a recorder that is seen for the first time: its heartbeat may already be old.
        """
        self._signs = {beat.recorder_id: self._sign(beat, now, steady) for beat in listed}
        return [
            recorder_id for recorder_id, sign in self._signs.items() if steady - sign.seen_at > ALIVE_SECONDS
        ]

    def _sign(self, beat: Heartbeat, now: datetime, steady: float) -> _Sign:
        before = self._signs.get(beat.recorder_id)
        if before is None:
            age = max(0.0, (now - beat.heartbeat_at).total_seconds())
            return _Sign(beat.heartbeat_at, steady - age)
        return before if before.heartbeat_at == beat.heartbeat_at else _Sign(beat.heartbeat_at, steady)
