"""The simulator as a web application: routes, outages, the key, and a log line for each request."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

from recorder.simulator.answers import (
    fault_answer,
    framework_answer,
    json_answer,
    unauthorized,
    unknown_group,
)
from recorder.simulator.clock import Clock
from recorder.simulator.groups import Groups
from recorder.simulator.intake import AddRuns, CreateGroup, InvalidRequestError, read_body, read_steering
from recorder.simulator.log import Exchange, RequestLog
from recorder.simulator.outages import FAULT_STATUS, Fault, Outage, outage_at
from recorder.simulator.settings import SimulatorSettings

_GROUPS = "/{prefix:v1|v1beta}/tasks/groups"
_MAX_REQUEST_BYTES = 64 * 1024 * 1024


class SimulatorApp:
    """The handlers and what they share. `log` stays the caller's to close."""

    def __init__(self, settings: SimulatorSettings, clock: Clock, log: RequestLog) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._started_at = clock()
        self._groups = Groups(settings.seed, settings.speed, settings.mix)
        self._stopping = asyncio.Event()

    def application(self) -> web.Application:
        middlewares = [self._logged, self._refusing]
        app = web.Application(middlewares=middlewares, client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_post(_GROUPS, self._create)
        app.router.add_get(_GROUPS + "/{taskgroup_id}", self._retrieve, allow_head=False)
        app.router.add_post(_GROUPS + "/{taskgroup_id}/runs", self._add_runs)
        app.on_shutdown.append(self._release)
        return app

    async def _create(self, request: web.Request) -> web.Response:
        wanted = read_body(CreateGroup, await request.read())
        now = self._clock()
        return json_answer(self._groups.create(wanted.metadata, now).body(now))

    async def _retrieve(self, request: web.Request) -> web.Response:
        taskgroup_id = request.match_info["taskgroup_id"]
        group = self._groups.find(taskgroup_id)
        return unknown_group(taskgroup_id) if group is None else json_answer(group.body(self._clock()))

    async def _add_runs(self, request: web.Request) -> web.Response:
        raw = await request.read()
        taskgroup_id = request.match_info["taskgroup_id"]
        group = self._groups.find(taskgroup_id)
        if group is None:
            return unknown_group(taskgroup_id)
        steering = read_steering(request.headers)
        processors = [run.processor for run in read_body(AddRuns, raw).inputs]
        cursor = str(group.run_count) if group.run_count else None
        now = self._clock()
        run_ids = self._groups.add_runs(group, processors, steering, now)
        return json_answer(
            {
                "status": group.status(now),
                "run_ids": run_ids,
                "event_cursor": cursor,
                "run_cursor": cursor,
            }
        )

    @web.middleware
    async def _logged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        at = self._clock()
        elapsed = (at - self._started_at).total_seconds()
        outage = outage_at(self._settings.outages, elapsed) if _is_retrieval(request) else None
        if outage is None:
            response = cast(web.Response, await handler(request))  # no handler here streams
        elif outage.fault in FAULT_STATUS:
            response = fault_answer(outage, elapsed, request.match_info["taskgroup_id"])
        else:
            self._record(request, at, outage, None)
            return await self._leave_unanswered(request, outage.fault)
        self._record(request, at, outage, response)
        return response

    @web.middleware
    async def _refusing(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.match_info.http_exception is None and not self._admits(request):
                return unauthorized()
            return await handler(request)
        except InvalidRequestError as error:
            return json_answer({"detail": error.problems}, 422)
        except web.HTTPException as error:
            return framework_answer(error)

    def _admits(self, request: web.Request) -> bool:
        key = request.headers.get("x-api-key", "")
        return bool(key) if self._settings.api_key is None else key == self._settings.api_key

    async def _leave_unanswered(self, request: web.Request, fault: Fault) -> web.Response:
        if fault is Fault.HANG:
            await self._stopping.wait()
        if request.transport is not None:
            request.transport.close()
        return web.Response()  # aiohttp wants one, and cannot send it any more

    async def _release(self, _: web.Application) -> None:
        self._stopping.set()

    def _record(
        self, request: web.Request, at: datetime, outage: Outage | None, response: web.Response | None
    ) -> None:
        self._log.append(
            Exchange(
                at=at,
                answered_at=None if response is None else self._clock(),
                method=request.method,
                path=request.raw_path,
                taskgroup_id=request.match_info.get("taskgroup_id"),
                status=None if response is None else response.status,
                body=None if response is None else response.text,
                fault=None if outage is None else outage.fault,
            )
        )


def _is_retrieval(request: web.Request) -> bool:
    return request.method == "GET" and "taskgroup_id" in request.match_info
