"""The simulator's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

SimulatedClock = Callable[[], datetime]
"""Returns the current time, aware, and never an earlier one than before."""


def steady_clock() -> SimulatedClock:
    """Return a clock that is set by the wall clock once and then runs by the monotonic one.

    A provider's time does not jump when the clock of an observer's machine does.
    """
    set_to = datetime.now(UTC)
    origin = time.monotonic()
    return lambda: set_to + timedelta(seconds=time.monotonic() - origin)
