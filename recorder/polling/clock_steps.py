"""Steps of the wall clock: noticing them, and keeping them out of what is said about sight."""

from __future__ import annotations

from datetime import datetime, timedelta

from recorder.clock import Clock, SteadyClock
from recorder.ledger.watch import Watch

SMALLEST_STEP = timedelta(seconds=1)
"""What differs by less is the clock's being adjusted, or our being slow to look."""


class ClockWatch:
    """Compares the wall clock with one that is never set."""

    def __init__(self, now: Clock, steady: SteadyClock) -> None:
        self._now = now
        self._steady = steady
        self._looked = (now(), steady())

    def step(self) -> timedelta | None:
        """Return by how much the wall clock was set since the last call, None if it was not."""
        before, self._looked = self._looked, (self._now(), self._steady())
        return _step(before, self._looked)


ClockReading = tuple[datetime, float]
"""What both clocks say at one moment: the wall clock, and the one that is never set."""


class ClockSight:
    """Remembers by both clocks when each group was polled, and moves a watch's times with the wall clock.

    Without it an hour's step forward would look like an hour without polls, for every group at once.
    """

    def __init__(self) -> None:
        self._planned: dict[str, tuple[datetime, ClockReading]] = {}

    def corrected(self, watch: Watch, at: ClockReading) -> Watch:
        """Return a watch as claimed, its times moved by the steps of the wall clock since our last poll.

        `at` is when the present poll ended.
        """
        poll_due_at, before = self._planned.get(watch.taskgroup_id, (None, at))
        if poll_due_at is None or poll_due_at != watch.poll_due_at:
            # Somebody else has polled it since, or nobody has.
            return watch
        step = _step(before, at)
        return watch if step is None else watch.moved(step)

    def planned(self, watch: Watch, at: ClockReading) -> None:
        """Remember a watch whose poll ended at `at`, as it is to be written."""
        if watch.poll_due_at is None:
            self._planned.pop(watch.taskgroup_id, None)
        else:
            self._planned[watch.taskgroup_id] = (watch.poll_due_at, at)


def _step(before: ClockReading, after: ClockReading) -> timedelta | None:
    step = (after[0] - before[0]) - timedelta(seconds=after[1] - before[1])
    return step if abs(step) >= SMALLEST_STEP else None
