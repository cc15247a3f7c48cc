"""Measure memory, and the times of two functions alternately, so that other load slows both equally."""

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
    """Call two functions alternately with their addresses; yield their times."""
    until = time.perf_counter() + seconds
    for first, second in cycle(zip(addresses, others, strict=True)):
        yield one(first), other(second)
        if time.perf_counter() > until:
            return


def medians(turns: Turns) -> tuple[float, float, float]:
    """Return the medians of both times and of the ratio of the second to the first."""
    taken = list(turns)
    first, second = zip(*taken, strict=True)
    return median(first), median(second), median(more / least for least, more in taken)


def peak_mib(process: int | str = "self") -> float:
    """Return the peak memory of a process in MiB (Linux only); it is named by its id, or is this one.

    `getrusage` is unsuitable, as it never reports less than the memory of the parent process.
    """
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return kib / 1024
