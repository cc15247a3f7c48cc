"""The clocks, which the shell passes into everything that needs the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]

SteadyClock = Callable[[], float]
"""Returns seconds since some fixed moment; nobody can set it, and it goes on while the machine sleeps."""


def utc_now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)


def steady_seconds() -> float:
    """Return the reading of a clock that is never set."""
    # Linux's monotonic clock stands still while the machine sleeps, this one does not.
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
