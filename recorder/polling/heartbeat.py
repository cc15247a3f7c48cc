"""The recorder's heartbeat: a sign of life with a report, which also takes note of the other recorders."""

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


class HeartbeatWriter:
    """Writes the heartbeats of a recorder; each of them updates the `load`."""

    def __init__(
        self, recorder_id: str, *, rate: float, intervals: Intervals, now: Clock, steady: SteadyClock
    ) -> None:
        self.load = Load(1, 0.0, 1.0)
        self._id = recorder_id
        self._rate = rate
        self._intervals = intervals
        self._now = now
        self._steady = steady
        self._started_at = now()
        self._liveness = LivenessTracker()
        self._logged_stretch = 1.0

    def beat(self, connection: Connection, counters: dict[str, int], upstream: dict[str, Any]) -> None:
        """Write a heartbeat, release the claims of dead recorders, and update the load."""
        now = self._now()
        listed = heartbeats(connection)
        dead = [other for other in self._liveness.dead(listed, now, self._steady()) if other != self._id]
        if dead:
            sign_off(connection, dead)
            # Their claims can be released before the leases expire.
            groups = release(connection, dead, now)
            _log.warning("took over from dead recorders", recorders=dead, groups=groups)
        alive = {heartbeat.recorder_id for heartbeat in listed} - set(dead) | {self._id}
        needed = requests_per_second(workload(connection), self._intervals)
        self.load = Load(len(alive), needed, stretch_of(needed, self._rate))
        beat(connection, self._heartbeat(now, counters, {"upstream": upstream, "rate": self._figures()}))

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
