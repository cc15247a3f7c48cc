"""Which recorders are alive: those whose heartbeats still move, whatever their clocks say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recorder.store.heartbeats import ALIVE_SECONDS, Heartbeat


@dataclass(frozen=True, slots=True)
class _Sign:
    heartbeat_at: datetime
    seen_at: float


class Roster:
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
