"""A simulator that delays its responses, or never completes them, and records its visits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler

from recorder.simulator import SimulatorSettings
from recorder.simulator.app import SimulatorApp
from recorder.simulator.request_log import RequestLog
from recorder.simulator.server import monotonic_clock


@dataclass(frozen=True, slots=True)
class Visit:
    """A GET of a group, from its arrival until the response or until the client disconnected."""

    taskgroup_id: str
    came: datetime
    left: datetime


@dataclass(slots=True)
class SlowSimulator:
    """A simulator that delays its response to a GET of a group by `seconds_for(taskgroup_id)`.

    The groups in `trickling` get the response byte by byte, without an end: it is not in the request log.
    """

    settings: SimulatorSettings
    seconds_for: Callable[[str], float]
    url: str = ""
    visits: list[Visit] = field(default_factory=list)
    waiting: int = 0
    trickling: frozenset[str] = frozenset()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the simulator in a thread for the duration of the block."""
        listening: Future[Callable[[], object]] = Future()
        thread = threading.Thread(target=asyncio.run, args=(self._run(listening),))
        thread.start()
        stop = listening.result()
        try:
            yield
        finally:
            stop()
            thread.join()

    async def _run(self, listening: Future[Callable[[], object]]) -> None:
        log, clock = RequestLog(self.settings.log_path), monotonic_clock()
        app = SimulatorApp(self.settings, clock, log).application()

        @web.middleware
        async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method != "GET":
                return await handler(request)
            group, came = request.match_info["taskgroup_id"], clock()
            self.waiting += 1
            try:
                if group in self.trickling:
                    await _trickle(request)
                await asyncio.sleep(self.seconds_for(group))
                return await handler(request)
            finally:
                self.waiting -= 1
                self.visits.append(Visit(group, came, clock()))

        app.middlewares.insert(0, slow)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        try:
            await runner.setup()
            await web.TCPSite(runner, self.settings.host, 0).start()
            self.url = f"http://{self.settings.host}:{runner.addresses[0][1]}"
            listening.set_result(lambda: loop.call_soon_threadsafe(stop.set))
            await stop.wait()
        except Exception as error:
            if listening.done():
                raise
            listening.set_exception(error)
        finally:
            await runner.cleanup()
            log.close()


async def _trickle(request: web.Request) -> NoReturn:
    """Send a body that stays incomplete on a connection that is never idle, until the client ends it."""
    response = web.StreamResponse()
    response.content_type = "application/json"
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)
