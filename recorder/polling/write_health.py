"""Whether the recorder's writes succeed, for the log and the heartbeat."""

from __future__ import annotations

import time
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog

from recorder.clock import Clock, SteadyClock, utc_now
from recorder.ledger.timestamps import format_time

STEADY_SECONDS = 3.0
"""For how long no write may fail before the database counts as back: on a full disk, some find room."""

_log = structlog.get_logger("recorder")


class WriteKind(StrEnum):
    """What a transaction writes. On a full disk, for example, some succeed while others fail."""

    HEARTBEAT = "heartbeats"
    CLAIM = "claims"
    RESULTS = "results"
    EVENTS = "events"
    ENROLMENTS = "enrolments"


class WriteHealth:
    """Follows each kind of write; the database is available while none of them fails.

    Logs when the database becomes unavailable, and when every kind of write that failed has succeeded again
    and none has failed for STEADY_SECONDS.
    """

    def __init__(self, now: Clock = utc_now, steady: SteadyClock = time.monotonic) -> None:
        self._now = now
        self._steady = steady
        self._failed_at = 0.0
        self._failing: set[WriteKind] = set()
        self._failures = 0
        self._failing_since: datetime | None = None
        self._reason: str | None = None
        self._results_at: datetime | None = None
        self._seconds: list[float] = []
        self._mean: float | None = None

    @property
    def failures(self) -> int:
        """The number of failed writes since the database became unavailable."""
        return self._failures

    @property
    def last_write_at(self) -> datetime | None:
        """When results were last written."""
        return self._results_at

    def failed(self, kind: WriteKind, reason: str) -> None:
        """Take note that a write has failed."""
        self._failed_at = self._steady()
        if self._failing_since is None:
            self._failing_since = self._now()
            _log.error("database unavailable, waiting for it to return", writes=kind.value, reason=reason)
        self._failing.add(kind)
        self._failures += 1
        self._reason = reason

    def succeeded(self, kind: WriteKind, seconds: float) -> None:
        """Take note that a write has succeeded, and how long it took."""
        self._seconds.append(seconds)
        if kind is WriteKind.RESULTS:
            self._results_at = self._now()
        self._recovered(kind)

    def nothing_to_write(self) -> None:
        """Take note that no results wait and none will come, so that failures to write some are over."""
        self._recovered(WriteKind.RESULTS)

    def as_json(self) -> dict[str, Any]:
        """Return JSON members: `last_write_at` (results, null before the first), the number of `failures`
        since the database became unavailable, when it did (`failing_since`) and the last `error`, and the
        mean duration of writes since the last call."""
        if self._seconds:
            self._mean = sum(self._seconds) / len(self._seconds)
            self._seconds.clear()
        return {
            "last_write_at": self._results_at and format_time(self._results_at),
            "failures": self._failures,
            "failing_since": self._failing_since and format_time(self._failing_since),
            "error": self._reason,
            "write_seconds": None if self._mean is None else round(self._mean, 3),
        }

    def _recovered(self, kind: WriteKind) -> None:
        self._failing.discard(kind)
        if self._failing_since is None or self._failing:
            return
        if self._steady() - self._failed_at >= STEADY_SECONDS:
            self._failures, self._failing_since, self._reason = 0, None, None
            _log.info("database is back")
