"""What is measured: times of two that take turns, so that what else the machine does slows both; memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from statistics import median

Turns = Iterator[tuple[float, float]]


def turns_of(
    one: Callable[[str], float],
    other: Callable[[str], float],
    addresses: list[str],
    others: list[str],
    seconds: float,
) -> Turns:
    """Let two take turns at their addresses; yield their times."""
    until = time.perf_counter() + seconds
    for first, second in cycle(zip(addresses, others, strict=True)):
        yield one(first), other(second)
        if time.perf_counter() > until:
            return


def medians(turns: Turns) -> tuple[float, float, float]:
    """Return the medians of the times, and of how many times the first the second is."""
    taken = list(turns)
    first, second = zip(*taken, strict=True)
    return median(first), median(second), median(more / least for least, more in taken)


def peak_mib() -> float:
    """Return the most memory that this process had so far (Linux).

    What `getrusage` says is at least what the process had that started this one.
    """
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return kib / 1024
