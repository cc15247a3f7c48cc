"""Simulators, their clients and their clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from recorder.clock import Clock
from recorder.simulator import SimulatorSettings
from tests.support.simulator import SIMULATOR_KEY, Connect, ManualClock, Start, simulating


@pytest.fixture
def start() -> Iterator[Start]:
    """Start simulators that stop after the test: `start(clock=None, **settings)` returns the URL."""
    with ExitStack() as stack:

        def start_one(clock: Clock | None = None, **settings: object) -> str:
            return stack.enter_context(simulating(SimulatorSettings(**settings), clock))  # type: ignore[arg-type]

        yield start_one


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Open clients that send an API key and are closed after the test."""
    with ExitStack() as stack:

        def open_client(url: str, **options: object) -> httpx.Client:
            headers = {"x-api-key": SIMULATOR_KEY}
            client = httpx.Client(base_url=url, headers=headers, trust_env=False, **options)  # type: ignore[arg-type]
            return stack.enter_context(client)

        yield open_client


@pytest.fixture
def client(start: Start, connect: Connect, clock: ManualClock) -> httpx.Client:
    """A client of a simulator with default settings and the manual clock."""
    return connect(start(clock))
