"""How many polls are planned for which time, so that no more fall due together than can be made. Pure.

The stretch of the schedule holds their number per second on average. But intervals grow while a group stays
quiet, and the groups of a large enrolment grow theirs together: polls planned over a long time then fall due
within a short one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from recorder.polling.schedule import Intervals

WINDOW_SHARE = 3
"""A slot is the gap window divided by this: within its slot, a poll cannot be late enough for a gap."""
POLLS_OF_A_SLOT = 3
"""A slot is long enough for so many polls."""
SLOTS = 500
"""How many slots are counted; polls that are planned for later than that are few and far apart."""


@dataclass(frozen=True, slots=True)
class Survey:
    """How many polls are `planned` by slot of time from `since` on, overdue ones in the first slot.

    `per_second` is how many can be made, and `spare_per_second` how many of these one recorder may make that
    the groups do not need.
    """

    since: datetime
    planned: Mapping[int, int]
    per_second: float
    spare_per_second: float


def slot_length(intervals: Intervals, per_second: float) -> timedelta:
    """Return how long a slot is if `per_second` polls can be made."""
    return max(intervals.gap_window / WINDOW_SHARE, timedelta(seconds=POLLS_OF_A_SLOT / per_second))


class Bookings:
    """Counts planned polls in slots of time, and finds a slot that has room.

    Before the first `refresh` there is room everywhere.
    """

    def __init__(self, intervals: Intervals) -> None:
        self._intervals = intervals
        self._since: datetime | None = None
        self._length = timedelta()
        self._room = math.inf
        self._planned: list[float] = []

    def refresh(self, survey: Survey) -> None:
        """Start again with the polls that are planned; what a slot has no room for is left to later ones."""
        self._since, self._length = survey.since, slot_length(self._intervals, survey.per_second)
        self._room = survey.per_second * self._length.total_seconds()
        self._planned, left = [], 0.0
        for slot in range(SLOTS):
            left += survey.planned.get(slot, 0)
            self._planned.append(min(left, self._room))
            left -= self._planned[-1]

    def place(self, due_at: datetime) -> datetime:
        """Return when a poll that is wanted at `due_at` can be made, and count it."""
        if self._since is None or due_at < self._since:
            # Nothing is counted yet, or the clock was set back since.
            return due_at
        wanted = max(0, int((due_at - self._since) / self._length))
        for slot in range(wanted, SLOTS):
            taken = self._planned[slot]
            if taken + 1 <= self._room:
                self._planned[slot] += 1
                begins = self._since + slot * self._length
                return due_at if slot == wanted else begins + self._length * (taken / self._room)
        return due_at
