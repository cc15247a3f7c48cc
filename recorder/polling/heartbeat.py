"""The recorder's heartbeat: a sign of life with a report, and what it shows of the other recorders."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection

from recorder.clock import SteadyClock
from recorder.ledger.timestamps import format_time, parse_time
from recorder.polling.bookings import SLOTS, Survey, slot_length
from recorder.polling.capacity import Capacity
from recorder.polling.retry_hold import RetryHold
from recorder.polling.schedule import (
    NO_STRETCH,
    USABLE_SHARE,
    Intervals,
    IntervalStretch,
    Quietness,
    requests_per_second,
    stretch_of,
)
from recorder.process_identity import this_process
from recorder.status_file import ALIVE_SECONDS
from recorder.store.database_clock import DatabaseClock
from recorder.store.heartbeats import Heartbeat, PollLimit, beat, heartbeats, sign_off
from recorder.store.leases import release
from recorder.store.transactions import DatabaseUnavailableError
from recorder.store.workload import planned_polls, workload

_LOGGED_CHANGE = 0.2
"""The relative change of the stretch from which it is logged again."""

_SHORT_OF = {
    PollLimit.RATE: "the rate does not suffice",
    PollLimit.CONCURRENCY: "answers take too long for the polls that may run at once",
    PollLimit.CPU: "the processor does not suffice",
    PollLimit.DATABASE: "the database is not fast enough",
}

_log = structlog.get_logger("recorder")


@dataclass(frozen=True, slots=True)
class Load:
    """What the groups need and what the recorders can do, in requests per second.

    `stretch` is how much longer intervals are because `capacity` does not suffice, and `limit` what keeps
    that from being more.
    """

    needed: float
    capacity: float
    limit: PollLimit
    stretch: IntervalStretch

    @property
    def mean_stretch(self) -> float:
        """The factor by which polls are fewer than needed; what each group waits depends on its interval."""
        return max(1.0, self.needed / (self.capacity * USABLE_SHARE))


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
        self.load = Load(0.0, rate, PollLimit.RATE, NO_STRETCH)
        self._others: list[Capacity] = []
        self._others_reached = 0.0
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
        others = [other for other in listed if other.recorder_id in alive - {self._id}]
        self._others = [_capacity_of(other, self._rate / len(alive)) for other in others]
        self._others_reached = sum(_reached_by(other.report) for other in others)
        for other in listed:
            self._learn_hold(other, now)
        beat(connection, self._heartbeat(now, self._started_at, counters, self._report(report, now)))
        return departures

    def survey(self, connection: Connection, capacity: Capacity) -> Survey:
        """Compare what the watched groups need with what all recorders can do, this one with `capacity`.

        This is apart from the heartbeat because it reads all groups.
        """
        now = self._clock()
        groups = [
            (Quietness(same.phase, same.polls, same.quiet_seconds, same.interrupted), same.groups)
            for same in workload(connection, now)
        ]
        needed = requests_per_second(groups, self._intervals)
        all_of_them = [capacity, *self._others]
        total = sum(each.per_second for each in all_of_them)
        limit = next((each.limit for each in all_of_them if each.limit is not PollLimit.RATE), PollLimit.RATE)
        self.load = Load(needed, total, limit, stretch_of(groups, total, self._intervals))
        slot = slot_length(self._intervals, total)
        planned = planned_polls(connection, now, slot, SLOTS)
        return Survey(now, planned, total, max(0.0, total * USABLE_SHARE - needed) / len(self.alive))

    def take_over(self, connection: Connection, dead: Collection[str]) -> None:
        """Remove dead recorders and release their claims, before the leases expire."""
        sign_off(connection, dead)
        groups = release(connection, dead)
        _log.warning("took over from dead recorders", recorders=sorted(dead), groups=groups)

    def log_load(self) -> None:
        """Log when the capacity stops or starts to suffice, and when the shortfall changes."""
        stretch = self.load.mean_stretch
        if abs(stretch - self._logged_stretch) <= _LOGGED_CHANGE * self._logged_stretch and (stretch > 1) == (
            self._logged_stretch > 1
        ):
            return
        self._logged_stretch = stretch
        if stretch > 1:
            _log.warning(f"{_SHORT_OF[self.load.limit]}: all intervals are stretched", **self._figures())
        else:
            _log.info("intervals are not stretched any more", **self._figures())

    def _figures(self) -> dict[str, Any]:
        return {
            "requests_per_second": self._rate,
            "needed_per_second": round(self.load.needed, 3),
            "capacity_per_second": round(self.load.capacity, 3),
            "limited_by": self.load.limit if self.load.mean_stretch > 1 else None,
            "stretch": round(self.load.mean_stretch, 3),
        }

    def _report(self, report: dict[str, Any], now: datetime) -> dict[str, Any]:
        until = self._hold.until if self._hold.holds(now) else None
        return {
            **report,
            "rate": {
                **self._figures(),
                "reached_per_second": round(self._others_reached + _reached_by(report), 3),
            },
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


def _capacity_of(other: Heartbeat, share: float) -> Capacity:
    """Return the capacity that another recorder reports, at most its share of the rate."""
    polling = other.report.get("polling", {})
    per_second, limit = polling.get("capacity_per_second"), polling.get("capacity_limit")
    if per_second is None or per_second >= share:
        return Capacity(share, PollLimit.RATE)
    return Capacity(per_second, PollLimit(limit))


def _reached_by(report: Mapping[str, Any]) -> float:
    """Return how many polls per second a recorder reports to have made lately."""
    return float(report.get("polling", {}).get("reached_per_second", 0))


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
