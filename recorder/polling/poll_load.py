"""What holds polls back, and how long they take, for the heartbeat."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import Any

from recorder.ledger.timestamps import format_time


class Limit(StrEnum):
    """What keeps a recorder from starting more polls."""

    RATE = "rate"
    CONCURRENCY = "concurrency"
    RETRY_AFTER = "retry_after"
    KEY_REJECTED = "key_rejected"


class PollLoad:
    """Follows a recorder's claims and polls from one heartbeat to the next."""

    def __init__(self) -> None:
        self._last_poll_at: datetime | None = None
        self._seconds: list[float] = []
        self._mean: float | None = None
        self._limits: Counter[Limit | None] = Counter()

    def claimed(self, limit: Limit | None) -> None:
        """Take note of a claim; `limit` is what kept it from being larger, None if nothing more was due."""
        self._limits[limit] += 1

    def polled(self, ended_at: datetime, seconds: float) -> None:
        """Take note of a poll that took `seconds`."""
        self._last_poll_at = ended_at
        self._seconds.append(seconds)

    def as_json(self) -> dict[str, Any]:
        """Return JSON members: `last_poll_at`, `response_seconds` (the mean since the last call) and
        `limited_by` (what held back most claims since then)."""
        if self._seconds:
            self._mean = sum(self._seconds) / len(self._seconds)
            self._seconds.clear()
        ((limit, _),) = self._limits.most_common(1) or ((None, 0),)
        self._limits.clear()
        return {
            "last_poll_at": self._last_poll_at and format_time(self._last_poll_at),
            "response_seconds": None if self._mean is None else round(self._mean, 3),
            "limited_by": limit,
        }
