"""A circuit breaker for the upstream: while it rejects the API key, only one probe at a time is polled."""

from __future__ import annotations

from datetime import datetime, timedelta

from recorder.ledger.poll_outcome import Cause, Observation, PollOutcome
from recorder.polling.schedule import Intervals, probe_delay

REJECTIONS = 3
"""This many rejected polls without a response in between mean that the key is bad, not one group."""


class CircuitBreaker:
    """Decides how many polls may start. `monotonic` times are readings of a monotonic clock, in seconds."""

    def __init__(self, intervals: Intervals) -> None:
        self._intervals = intervals
        self._rejections = 0
        self._probes = 0
        self._tripped_at: float | None = None
        self._probe_at = 0.0
        self._held_until: datetime | None = None

    @property
    def tripped(self) -> bool:
        """Whether polls are held back."""
        return self._tripped_at is not None

    @property
    def held_until(self) -> datetime | None:
        """The time until which rejected groups were held back; None if none ever was."""
        return self._held_until

    def limit(self, wanted: int, in_flight: int, monotonic: float) -> int:
        """Return how many of the `wanted` polls may start."""
        if not self.tripped:
            return wanted
        return min(wanted, 1) if in_flight == 0 and monotonic >= self._probe_at else 0

    def polled(self, outcome: PollOutcome, monotonic: float) -> None:
        """Take note of the outcome of a poll."""
        if isinstance(outcome, Observation):
            self._accepted_at(outcome.received_at)
        elif outcome.cause is Cause.NOT_FOUND:
            # A 404 means that the key was accepted.
            self._accepted_at(outcome.ended_at)
        elif outcome.cause is Cause.UNAUTHORIZED or self.tripped:
            self._rejected_at(outcome.ended_at, monotonic)

    def _accepted_at(self, at: datetime) -> None:
        if self.tripped:
            self._held_until = at
        self._tripped_at = None
        self._rejections = self._probes = 0

    def _rejected_at(self, at: datetime, monotonic: float) -> None:
        self._rejections += 1
        if self._rejections < REJECTIONS:
            return
        if self._tripped_at is None:
            self._tripped_at = monotonic
        delay = probe_delay(self._probes, timedelta(seconds=monotonic - self._tripped_at), self._intervals)
        self._probes += 1
        self._probe_at = monotonic + delay.total_seconds()
        self._held_until = at + delay
