"""A simulator in a background thread, for synchronous clients, and a manual clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx

from recorder.clock import Clock
from recorder.simulator import SimulatorSettings, running
from recorder.simulator.server import monotonic_clock

SIMULATOR_KEY = "a-key"

Start = Callable[..., str]
"""Starts a simulator and returns its URL."""

Connect = Callable[..., httpx.Client]
"""Opens a client of the simulator at a URL."""


class ManualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 24, 12, 16, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class MovableClock:
    """Real time, which can be moved ahead: to the next scene of a scenario, for example."""

    def __init__(self) -> None:
        self._real = monotonic_clock()
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return self._real() + self._ahead

    def move(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


@contextmanager
def simulating(settings: SimulatorSettings, clock: Clock | None = None) -> Iterator[str]:
    """Run a simulator in a thread for the duration of the block, and yield its URL."""
    listening: Future[tuple[str, Callable[[], object]]] = Future()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        try:
            async with running(settings, clock) as simulator:
                listening.set_result((simulator.url, lambda: loop.call_soon_threadsafe(stop.set)))
                await stop.wait()
        except Exception as error:
            if listening.done():
                raise
            listening.set_exception(error)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    url, stop = listening.result()
    try:
        yield url
    finally:
        stop()
        thread.join()
