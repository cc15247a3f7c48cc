"""A simulator in a background thread, for synchronous clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from recorder.simulator import SimulatedClock, SimulatorSettings, running

KEY = "a-key"

Start = Callable[..., str]
Connect = Callable[..., httpx.Client]


class HandClock:
    """Stands still until it is moved on by hand."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 24, 12, 16, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@contextmanager
def simulating(settings: SimulatorSettings, clock: SimulatedClock | None = None) -> Iterator[str]:
    """Run a simulator in a thread while the block runs, and give its URL."""
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


@pytest.fixture
def start() -> Iterator[Start]:
    """Start simulators that end with the test: `start(clock=None, **settings)` gives the URL."""
    with ExitStack() as stack:

        def start_one(clock: SimulatedClock | None = None, **settings: object) -> str:
            return stack.enter_context(simulating(SimulatorSettings(**settings), clock))  # type: ignore[arg-type]

        yield start_one


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Open clients with a key that are closed with the test."""
    with ExitStack() as stack:

        def open_client(url: str, **options: object) -> httpx.Client:
            headers = {"x-api-key": KEY}
            client = httpx.Client(base_url=url, headers=headers, trust_env=False, **options)  # type: ignore[arg-type]
            return stack.enter_context(client)

        yield open_client


@pytest.fixture
def client(start: Start, connect: Connect, clock: HandClock) -> httpx.Client:
    """A client of a simulator with default settings and the clock in hand."""
    return connect(start(clock))
