"""Steps of the wall clock: detecting them, and keeping them from looking like gaps."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from recorder.clock import Clock, SteadyClock, utc_now
from recorder.ledger.watch import Watch
from recorder.store.database_clock import DatabaseClock

_log = structlog.get_logger("recorder")

SMALLEST_STEP = timedelta(seconds=1)
"""Smaller differences are gradual adjustments of the clock, or a delay between the two readings."""


class ClockWatch:
    """Compares the wall clock with the steady clock, which is never set."""

    def __init__(self, now: Clock, steady: SteadyClock) -> None:
        self._now = now
        self._steady = steady
        self._last = (now(), steady())

    def step(self) -> timedelta | None:
        """Return how far the wall clock was set since the last call, None if it was not."""
        before, self._last = self._last, (self._now(), self._steady())
        return _step(before, self._last)


class StepWatch:
    """Watches the clock of this machine and, once it is known, the one that all recorders share."""

    def __init__(self, shared: DatabaseClock, steady: SteadyClock) -> None:
        self._machine = ClockWatch(utc_now, steady)
        self._clock, self._steady = shared, steady
        self._shared: ClockWatch | None = None

    def look(self) -> tuple[bool, bool]:
        """Return whether the machine's clock and whether the shared clock was set since the last call."""
        step, shared_step = self._machine.step(), None
        if step is not None:
            _log.warning("the clock was set", seconds=round(step.total_seconds(), 3))
        if self._shared is None:
            self._shared = ClockWatch(self._clock, self._steady) if self._clock.ready else None
        else:
            shared_step = self._shared.step()
        if shared_step is not None and step is None:
            _log.warning("the database's clock was set", seconds=round(shared_step.total_seconds(), 3))
        return step is not None, shared_step is not None


ClockReading = tuple[datetime, float]
"""Readings of the wall clock and the steady clock at the same moment."""


class ClockStepCorrector:
    """Remembers both clocks at the last poll of each group, and moves a watch's times with the wall clock.

    Otherwise a step of an hour would look like an hour without polls, for every group at once.
    """

    def __init__(self) -> None:
        self._polled: dict[str, tuple[datetime, ClockReading]] = {}

    def corrected(self, watch: Watch, at: ClockReading) -> Watch:
        """Return a claimed watch with its times moved by the step of the wall clock since our last poll.

        `at` is when the current poll ended.
        """
        poll_due_at, before = self._polled.get(watch.taskgroup_id, (None, at))
        if poll_due_at is None or poll_due_at != watch.poll_due_at:
            # This recorder has never polled the group, or another one has since.
            return watch
        step = _step(before, at)
        return watch if step is None else watch.moved(step)

    def remember(self, watch: Watch, at: ClockReading) -> None:
        """Remember a watch as it will be written, after a poll that ended at `at`."""
        if watch.poll_due_at is None:
            self._polled.pop(watch.taskgroup_id, None)
        else:
            self._polled[watch.taskgroup_id] = (watch.poll_due_at, at)


def _step(before: ClockReading, after: ClockReading) -> timedelta | None:
    step = (after[0] - before[0]) - timedelta(seconds=after[1] - before[1])
    return step if abs(step) >= SMALLEST_STEP else None
