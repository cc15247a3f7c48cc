"""How many polls a recorder can make per second, and what holds it back. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recorder.polling.poll_load import Period
from recorder.store.heartbeats import PollLimit

RAISE_FACTOR = 4
"""Up to how many times RECORDER_CONCURRENCY polls run at once while answers are slow."""
SLOW_ANSWER_SECONDS = 1.0
"""Answers are slow if they take this long on average."""
SPARE_PLACES = 1.25
"""How many more polls than expected may run at once, since answers are not all equally slow."""
GROWTH = 1.25
"""By which factor the capacity may grow from one heartbeat to the next; it falls at once.

A smaller load looks like a faster machine, so the schedule would swing if it trusted that immediately."""
SMOOTHING = 0.5
SATURATED_PERIODS = 2
"""The capacity is known once polls have been held back for so many periods in a row."""
BUSY_CPU = 0.85
"""The share of a processor from which it is what holds polls back."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many polls per second are possible, and what keeps it from being more."""

    per_second: float
    limit: PollLimit


class CapacityMeter:
    """Estimates the capacity of one recorder, and how many polls may run at once (`places`).

    That is `concurrency`, or up to `most_at_once` while answers are slow and the rate is not used up.
    `machine` is which part of the machine is slower, CPU or DATABASE.
    """

    def __init__(self, concurrency: int, most_at_once: int) -> None:
        self.places = concurrency
        self._concurrency = concurrency
        self.most_at_once = max(concurrency, most_at_once)
        self.machine = PollLimit.DATABASE
        self._seconds: float | None = None
        self._bound = math.inf
        self._reached: list[float] = []
        self._limit = PollLimit.CONCURRENCY

    def update(self, period: Period, rate: float) -> None:
        """Take note of the polls since the last call; `rate` is this recorder's share of RECORDER_RATE."""
        busy = period.cpu_share >= BUSY_CPU
        self.machine = PollLimit.CPU if busy else PollLimit.DATABASE
        self._measure(period)
        if self._seconds is None:
            return
        self.places = self._concurrency
        if self._seconds >= SLOW_ANSWER_SECONDS and not period.mostly_failed:
            wanted = math.ceil(rate * self._seconds * SPARE_PLACES)
            self.places = min(max(wanted, self._concurrency), self.most_at_once)
        self._reached = [*self._reached, period.polls / period.seconds] if period.saturated else []
        ceiling = self.places / self._seconds
        if len(self._reached) < SATURATED_PERIODS:
            # Polls that do not wait for each other tell how many could be made at once.
            self._bound = min(self._bound * GROWTH, max(self._bound, ceiling))
            return
        bound, limit = ceiling, PollLimit.CPU if busy else PollLimit.CONCURRENCY
        if period.limit is PollLimit.MACHINE:
            # The first periods of a recorder, or after a pause, are slower than the machine.
            reached = max(1.0, *self._reached[-SATURATED_PERIODS:])
            bound, limit = min((reached, self.machine), (bound, limit))
        self._bound, self._limit = min((bound, limit), (self._bound * GROWTH, self._limit))

    def capacity(self, rate: float) -> Capacity:
        """Return the capacity of a recorder whose share of RECORDER_RATE is `rate`."""
        return min(
            Capacity(rate, PollLimit.RATE), Capacity(self._bound, self._limit), key=lambda it: it.per_second
        )

    def _measure(self, period: Period) -> None:
        """Follow how long a poll takes; those that have not ended are known to take longer than so far."""
        known = [seconds for seconds in (period.response_seconds, period.waiting_seconds) if seconds]
        if not known:
            return
        seconds = max(known)
        before = seconds if self._seconds is None else self._seconds
        self._seconds = before + (seconds - before) * SMOOTHING
