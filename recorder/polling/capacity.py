"""How many polls a recorder can make per second, and what holds it back. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

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
COUNTED_PERIODS = 2
COUNTED_ANSWERS = 4
"""Polls are counted over so many periods and answer times at least: slow answers can come in bursts."""
MOST_PERIODS = 5
"""Polls are counted over up to so many periods, even if fewer are enough: no two periods are equally fast."""
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

    The capacity is the number of places divided by the time of an answer, or what a recorder that is held
    back all the time really reaches, whichever is lower.
    """

    def __init__(self, concurrency: int, most_at_once: int) -> None:
        self.places = concurrency
        self._concurrency = concurrency
        self.most_at_once = max(concurrency, most_at_once)
        self.machine = PollLimit.DATABASE
        self._seconds: float | None = None
        self._bound = math.inf
        self._limit = PollLimit.CONCURRENCY
        self._saturated: list[Period] = []
        self._recent: list[Period] = []
        self._full_cpu = 1.0

    def update(self, period: Period, rate: float, *, stretched: bool) -> None:
        """Take note of the polls since the last call; `rate` is this recorder's share of RECORDER_RATE.

        `stretched` is whether the schedule was stretched, so that fewer polls were due than may be possible.
        """
        busy = period.cpu_share >= BUSY_CPU
        self.machine = PollLimit.CPU if busy else PollLimit.DATABASE
        self._measure(period)
        if self._seconds is None:
            return
        self.places = self._concurrency
        if self._seconds >= SLOW_ANSWER_SECONDS and not period.mostly_failed:
            wanted = math.ceil(rate * self._seconds * SPARE_PLACES)
            self.places = min(max(wanted, self._concurrency), self.most_at_once)
        ceiling = self.places / self._seconds
        self._recent = self._counted([*self._recent, period])
        self._saturated = self._counted([*self._saturated, period]) if period.saturated else []
        if len(self._saturated) < COUNTED_PERIODS:
            self._grow(ceiling, period.cpu_share, stretched=stretched)
            return
        # Several threads may use more than one processor.
        self._full_cpu = max(1.0, period.cpu_share)
        bound = min(ceiling, self._bound * GROWTH)
        if _seconds_of(self._saturated) >= COUNTED_ANSWERS * self._seconds:
            bound = min(bound, max(min(1.0, 1 / self._seconds), _best_half(self._saturated)))
        self._bound = bound
        self._limit = PollLimit.CPU if busy else PollLimit.CONCURRENCY
        if period.limit is PollLimit.MACHINE:
            self._limit = self.machine

    def capacity(self, rate: float) -> Capacity:
        """Return the capacity of a recorder whose share of RECORDER_RATE is `rate`."""
        return min(
            Capacity(rate, PollLimit.RATE), Capacity(self._bound, self._limit), key=lambda it: it.per_second
        )

    @property
    def reached_per_second(self) -> float:
        """How many polls per second have ended lately."""
        return _per_second(self._recent)

    def as_json(self, rate: float) -> dict[str, Any]:
        """Return `places`, the capacity and its limit, and `reached_per_second` as JSON members."""
        capacity = self.capacity(rate)
        return {
            "places": self.places,
            "capacity_per_second": round(capacity.per_second, 3),
            "capacity_limit": capacity.limit,
            "reached_per_second": round(self.reached_per_second, 3),
        }

    def _grow(self, ceiling: float, cpu_share: float, *, stretched: bool) -> None:
        """Raise the bound of a recorder that was not held back and used `cpu_share`.

        While the schedule is stretched, that shows no more than that the polls that were made are possible:
        how many more are depends on how many were due, and on how much of the processor they left.
        """
        grown = self._bound * GROWTH
        if stretched:
            left = self._full_cpu / max(cpu_share, self._full_cpu / GROWTH)
            grown = self.reached_per_second * max(1.0, left)
        self._bound = max(self._bound, min(grown, ceiling))

    def _measure(self, period: Period) -> None:
        """Follow how long a poll takes; those that have not ended are known to take longer than so far."""
        known = [seconds for seconds in (period.response_seconds, period.waiting_seconds) if seconds]
        if not known:
            return
        seconds = max(known)
        before = seconds if self._seconds is None else self._seconds
        # Polls that have not waited for as long yet say nothing against the time that others took.
        if period.response_seconds or seconds > before:
            before += (seconds - before) * SMOOTHING
        self._seconds = before

    def _counted(self, periods: list[Period]) -> list[Period]:
        """Return the last periods, as many as it takes to count polls."""
        least = COUNTED_ANSWERS * (self._seconds or 0.0)
        while len(periods) > MOST_PERIODS and _seconds_of(periods[1:]) >= least:
            periods = periods[1:]
        return periods


def _seconds_of(periods: list[Period]) -> float:
    return sum(period.seconds for period in periods)


def _per_second(periods: list[Period]) -> float:
    return sum(period.polls for period in periods) / max(_seconds_of(periods), 1e-3)


def _best_half(periods: list[Period]) -> float:
    """Return the polls per second of the better half: the first periods after a start or pause are slower."""
    middle = len(periods) // 2
    return max(_per_second(periods[:middle]), _per_second(periods[middle:]))
