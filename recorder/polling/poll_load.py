"""What holds polls back, and how long they take, for the heartbeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recorder.ledger.timestamps import format_time
from recorder.store.heartbeats import PollLimit

_OWN_LIMITS = (PollLimit.CONCURRENCY, PollLimit.MACHINE)
SATURATED_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Period:
    """The polls between two heartbeats.

    `polls` is how many ended, `response_seconds` how long they took on average, None if there were none.
    `waiting_seconds` is how long those that have not ended have taken so far, None if there are none.
    `limit` is what held polls back most of the time, `saturated` whether the recorder itself did nearly all
    the time, and `cpu_share` how much of a processor was used.
    """

    seconds: float
    polls: int
    mostly_failed: bool
    response_seconds: float | None
    waiting_seconds: float | None
    limit: PollLimit | None
    saturated: bool
    cpu_share: float


class PollLoad:
    """Follows a recorder's polls from one heartbeat to the next.

    Times are readings of a monotonic clock and of the processor time used, in seconds.
    """

    def __init__(self, monotonic: float, cpu_seconds: float) -> None:
        self._since = (monotonic, cpu_seconds)
        self._last_poll_at: datetime | None = None
        self._seconds: list[float] = []
        self._failed = 0
        self._limits: Counter[PollLimit | None] = Counter()
        self._mean: float | None = None
        self._limit: PollLimit | None = None

    @property
    def last_poll_at(self) -> datetime | None:
        """When the last poll ended."""
        return self._last_poll_at

    def looked(self, limit: PollLimit | None) -> None:
        """Take note of what holds polls back at one of many regular moments, None if nothing does."""
        self._limits[limit] += 1

    def polled(self, ended_at: datetime, seconds: float, *, failed: bool) -> None:
        """Take note of a poll that took `seconds`."""
        self._last_poll_at = ended_at
        self._seconds.append(seconds)
        self._failed += failed

    def period(self, monotonic: float, cpu_seconds: float, began: Collection[float]) -> Period:
        """Return the period that ends now; `began` is when each poll began that has not ended."""
        seconds = max(1e-3, monotonic - self._since[0])
        if self._seconds:
            self._mean = sum(self._seconds) / len(self._seconds)
        ((self._limit, _),) = self._limits.most_common(1) or ((None, 0),)
        own = sum(self._limits[limit] for limit in _OWN_LIMITS)
        period = Period(
            seconds=seconds,
            polls=len(self._seconds),
            mostly_failed=self._failed * 2 > len(self._seconds),
            response_seconds=self._mean if self._seconds else None,
            waiting_seconds=sum(monotonic - each for each in began) / len(began) if began else None,
            limit=self._limit,
            saturated=own > 0 and own >= SATURATED_SHARE * self._limits.total(),
            cpu_share=(cpu_seconds - self._since[1]) / seconds,
        )
        self._since = (monotonic, cpu_seconds)
        self._seconds.clear()
        self._limits.clear()
        self._failed = 0
        return period

    def as_json(self, machine: PollLimit) -> dict[str, Any]:
        """Return JSON members: `last_poll_at`, `response_seconds` (the mean in the last period with polls)
        and `limited_by` (what held back polls most of the last period; `machine` says which part of it)."""
        return {
            "last_poll_at": self._last_poll_at and format_time(self._last_poll_at),
            "response_seconds": None if self._mean is None else round(self._mean, 3),
            "limited_by": machine if self._limit is PollLimit.MACHINE else self._limit,
        }
