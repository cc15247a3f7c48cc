"""The recorder's heartbeat: a sign of life with a report, and what it learns of the others on the way."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection

from recorder.clock import Clock, SteadyClock
from recorder.polling.schedule import Intervals, requests_per_second, stretch_of
from recorder.store.groups import workload
from recorder.store.heartbeats import ALIVE_SECONDS, Heartbeat, beat, heartbeats, sign_off
from recorder.store.leases import release

_TELLING = 0.2
"""By which part the stretch must change to be told again in the log."""


_log = structlog.get_logger("recorder")


@dataclass(frozen=True, slots=True)
class Load:
    """How many recorders share the rate, what the groups need of it (requests per second), and how many
    times as long their intervals are because it does not suffice."""

    recorders: int
    needed: float
    stretch: float


class HeartbeatWriter:
    """Writes heartbeats of the recorder `recorder_id`; each learns the load anew."""

    def __init__(
        self, recorder_id: str, *, rate: float, pace: Intervals, now: Clock, steady: SteadyClock
    ) -> None:
        self.load = Load(1, 0.0, 1.0)
        self._id = recorder_id
        self._rate = rate
        self._pace = pace
        self._now = now
        self._steady = steady
        self._started_at = now()
        self._roster = LivenessTracker()
        self._told = 1.0

    def beat(self, connection: Connection, counters: dict[str, int], upstream: dict[str, Any]) -> None:
        """Write a sign of life, take over from recorders that are dead, and take the load."""
        now = self._now()
        listed = heartbeats(connection)
        dead = [other for other in self._roster.dead(listed, now, self._steady()) if other != self._id]
        if dead:
            sign_off(connection, dead)
            # What they had claimed need not wait until its leases run out.
            groups = release(connection, dead, now)
            _log.warning("took over from recorders without a sign of life", recorders=dead, groups=groups)
        alive = {heartbeat.recorder_id for heartbeat in listed} - set(dead) | {self._id}
        needed = requests_per_second(workload(connection), self._pace)
        self.load = Load(len(alive), needed, stretch_of(needed, self._rate))
        beat(connection, self._heartbeat(now, counters, {"upstream": upstream, "rate": self._figures()}))

    def tell(self) -> None:
        """Say in the log when the rate does not suffice any more, by how much, and when it does again."""
        stretch = self.load.stretch
        if abs(stretch - self._told) <= _TELLING * self._told and (stretch > 1) == (self._told > 1):
            return
        self._told = stretch
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

    def _heartbeat(self, now: datetime, counters: dict[str, int], report: dict[str, Any]) -> Heartbeat:
        return Heartbeat(
            recorder_id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started_at,
            heartbeat_at=now,
            counters=counters,
            report=report,
        )


@dataclass(frozen=True, slots=True)
class _Sign:
    heartbeat_at: datetime
    seen_at: float


class LivenessTracker:
    """Remembers when each recorder's heartbeat last moved, by a clock that is never set."""

    def __init__(self) -> None:
        self._signs: dict[str, _Sign] = {}

    def dead(self, listed: Sequence[Heartbeat], now: datetime, steady: float) -> list[str]:
        """Return the ids of the listed recorders that gave no sign of life for ALIVE_SECONDS.

        `now` serves for a recorder that is seen for the first time: its heartbeat may be old already.
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
