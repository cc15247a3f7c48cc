"""Starting and stopping the simulator, a stand-in for the upstream provider that speaks real HTTP.

Under `/v1` and `/v1beta` alike, each request with an `x-api-key`:

- `POST …/tasks/groups` creates a group,
- `POST …/tasks/groups/{id}/runs` adds 1 to 1,000 runs to it,
- `GET …/tasks/groups/{id}` retrieves it.

A client steers the runs that it adds by their processor, and, beyond what the upstream knows, by two
headers of the request that adds them:

- `x-simulator-outcome`: how they all end: `completed`, `failed`, `cancelled`, `blocked` (they wait in
  `action_required` for ever), or `mixed` (as without the header: each draws from the settings' mix);
- `x-simulator-seconds`: they do not queue, and end exactly so many simulated seconds after being added.

Simulated seconds are real ones divided into `speed` parts: at speed 10, a run of 60 s takes 6 s. The
timestamps in answers are real time. Outages and the scenes of a scenario count in real seconds and befall
retrievals only, so that groups can be created and filled meanwhile.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import FrameType

from aiohttp import web

from recorder.simulator.app import SimulatorApp
from recorder.simulator.clock import SimulatedClock, steady_clock
from recorder.simulator.log import RequestLog
from recorder.simulator.settings import SimulatorSettings

_SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator; `url` has no path and no slash at its end."""

    url: str


@asynccontextmanager
async def running(
    settings: SimulatorSettings, clock: SimulatedClock | None = None
) -> AsyncIterator[Simulator]:
    """Run a simulator while the block runs. `clock` is real time unless one is given.

    Raises:
        OSError: the address is taken or not ours, or the request log cannot be opened.
    """
    log = RequestLog(settings.log_path)
    app = SimulatorApp(settings, clock or steady_clock(), log).application()
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
    """Run a simulator until SIGINT or SIGTERM; `announce` gets its URL once it listens.

    To be called in the main thread.

    Raises:
        OSError: the address is taken or not ours, or the request log cannot be opened.
    """
    stop = asyncio.Event()
    with _stopped_by_signals(stop):
        async with running(settings) as simulator:
            announce(simulator.url)
            await stop.wait()


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    # `loop.add_signal_handler` would be shorter, but Windows has none.
    loop = asyncio.get_running_loop()

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    before = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
