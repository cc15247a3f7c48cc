"""Starting and stopping the simulator, a stand-in for the upstream provider that serves real HTTP.

It answers these requests under both `/v1` and `/v1beta`; each needs an `x-api-key`:

- `POST …/tasks/groups` creates a group,
- `POST …/tasks/groups/{id}/runs` adds 1 to 1,000 runs to it,
- `GET …/tasks/groups/{id}` retrieves it,
- `GET …/tasks/groups/{id}/runs` streams its runs and ends.

The processor of a run determines how long it may take. A client can also control the runs that it adds
with two headers that the upstream does not have:

- `x-simulator-outcome`: how all the runs end: `completed`, `failed`, `cancelled`, `blocked` (waiting in
  `action_required` forever), or `mixed` (the default: each run draws from the settings' mix);
- `x-simulator-seconds`: the runs do not queue, and end exactly this many simulated seconds after being
  added.

At a `speed` of 10, a run of 60 simulated seconds takes 6 real ones. Timestamps in responses are real time.
Outages and scenes are timed in real seconds and affect retrievals only, so that groups can still be created
and filled during an outage.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FrameType

from aiohttp import web

from recorder.clock import Clock
from recorder.simulator.app import SimulatorApp
from recorder.simulator.request_log import RequestLog
from recorder.simulator.settings import SimulatorSettings

_SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator; `url` has no path and no trailing slash."""

    url: str


def monotonic_clock() -> Clock:
    """Return a clock that is set from the wall clock once and then follows the monotonic clock.

    The provider's time must not jump when the clock of the machine under test does.
    """
    started_at = datetime.now(UTC)
    origin = time.monotonic()
    return lambda: started_at + timedelta(seconds=time.monotonic() - origin)


@asynccontextmanager
async def running(settings: SimulatorSettings, clock: Clock | None = None) -> AsyncIterator[Simulator]:
    """Run a simulator for the duration of the block, on real time unless a `clock` is given.

    Raises:
        OSError: the address is in use or not available, or the request log cannot be opened.
    """
    log = RequestLog(settings.log_path)
    app = SimulatorApp(settings, clock or monotonic_clock(), log).application()
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.port).start()
        yield Simulator(_url(settings.host, runner.addresses[0][1]))
    finally:
        await runner.cleanup()
        log.close()


async def serve_simulator(settings: SimulatorSettings, announce: Callable[[str], None]) -> None:
    """Run a simulator until SIGINT or SIGTERM; `announce` is called with its URL once it listens.

    Must be called in the main thread.

    Raises:
        OSError: the address is in use or not available, or the request log cannot be opened.
    """
    stop = asyncio.Event()
    with _stopped_by_signals(stop):
        async with running(settings) as simulator:
            announce(simulator.url)
            await stop.wait()


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    # `loop.add_signal_handler` is not available on Windows.
    loop = asyncio.get_running_loop()

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    previous = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
