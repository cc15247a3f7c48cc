"""The clocks, which are passed to everything that needs the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]

SteadyClock = Callable[[], float]
"""Returns seconds since a fixed moment; it cannot be set, and includes time for which the machine sleeps."""


def utc_now() -> datetime:
    """Return the current time as an aware datetime in UTC."""
    return datetime.now(UTC)


def steady_seconds() -> float:
    """Return the seconds on a clock that nobody can set."""
    # Unlike the monotonic clock of Linux, this one does not stop while the machine sleeps.
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
