"""Whether the recorder's writes succeed, for the log and the heartbeat."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog

from recorder.clock import Clock, utc_now
from recorder.ledger.timestamps import format_time

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

    Logs when the database becomes unavailable, and when every kind of write that failed has succeeded again.
    """

    def __init__(self, now: Clock = utc_now) -> None:
        self._now = now
        self._failures: Counter[WriteKind] = Counter()
        self._failing_since: datetime | None = None
        self._reason: str | None = None
        self._results_at: datetime | None = None
        self._seconds: list[float] = []
        self._mean: float | None = None

    def failed(self, kind: WriteKind, reason: str) -> None:
        """Take note that a write has failed."""
        if not self._failures:
            self._failing_since = self._now()
            _log.error("database unavailable, waiting for it to return", writes=kind.value, reason=reason)
        self._failures[kind] += 1
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
        since writes of the same kind have succeeded, since when (`failing_since`) and the last `error`, and
        the mean duration of writes since the last call."""
        if self._seconds:
            self._mean = sum(self._seconds) / len(self._seconds)
            self._seconds.clear()
        return {
            "last_write_at": self._results_at and format_time(self._results_at),
            "failures": self._failures.total(),
            "failing_since": self._failing_since and format_time(self._failing_since),
            "error": self._reason,
            "write_seconds": None if self._mean is None else round(self._mean, 3),
        }

    def _recovered(self, kind: WriteKind) -> None:
        if self._failures.pop(kind, 0) and not self._failures:
            self._failing_since = self._reason = None
            _log.info("database is back")
