"""The gate before the upstream: while it rejects the key, one poll at a time tries whether it still does."""

from __future__ import annotations

from datetime import datetime, timedelta

from recorder.ledger.poll_outcome import Cause, Observation, PollOutcome
from recorder.polling.schedule import Intervals, probe_delay

REJECTIONS = 3
"""So many rejected polls in a row, no answer between them, speak of the key and not of a single group."""


class CircuitBreaker:
    """Decides how many polls may start; `monotonic` times are readings of a clock that is never set."""

    def __init__(self, pace: Intervals) -> None:
        self._pace = pace
        self._rejected = 0
        self._probes = 0
        self._closed_at: float | None = None
        self._probe_at = 0.0
        self._held_until: datetime | None = None

    @property
    def closed(self) -> bool:
        return self._closed_at is not None

    @property
    def held_until(self) -> datetime | None:
        """Until when polls were held back: none that follows a rejected one was due before. None if never."""
        return self._held_until

    def limit(self, wanted: int, in_flight: int, monotonic: float) -> int:
        """Return how many of the `wanted` polls may start."""
        if not self.closed:
            return wanted
        return min(wanted, 1) if in_flight == 0 and monotonic >= self._probe_at else 0

    def polled(self, outcome: PollOutcome, monotonic: float) -> None:
        """Take in what came of a poll."""
        if isinstance(outcome, Observation):
            self._answered(outcome.observed_at)
        elif outcome.cause is Cause.NOT_FOUND:
            # Who may not ask is not told what there is.
            self._answered(outcome.ended_at)
        elif outcome.cause is Cause.UNAUTHORIZED or self.closed:
            self._refused(outcome.ended_at, monotonic)

    def _answered(self, at: datetime) -> None:
        if self.closed:
            self._held_until = at
        self._closed_at = None
        self._rejected = self._probes = 0

    def _refused(self, at: datetime, monotonic: float) -> None:
        self._rejected += 1
        if self._rejected < REJECTIONS:
            return
        if self._closed_at is None:
            self._closed_at = monotonic
        delay = probe_delay(self._probes, timedelta(seconds=monotonic - self._closed_at), self._pace)
        self._probes += 1
        self._probe_at = monotonic + delay.total_seconds()
        self._held_until = at + delay
