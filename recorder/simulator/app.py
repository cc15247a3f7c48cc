"""The simulator as a web application: routes, the API key, faults and alterations, and the request log."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

from recorder.clock import Clock
from recorder.simulator.faults import FAULTS, FaultyRequest
from recorder.simulator.groups import Groups
from recorder.simulator.request_log import LoggedRequest, LoggedScene, RequestLog
from recorder.simulator.requests import (
    AddRuns,
    CreateGroup,
    InvalidRequestError,
    read_request_body,
    read_steering,
)
from recorder.simulator.responses import (
    JSON_TYPE,
    IncompleteResponse,
    body_text,
    compact_json_response,
    framework_error_response,
    group_not_found,
    send_incomplete,
    unauthorized_response,
)
from recorder.simulator.run_stream import EVENT_STREAM, run_events
from recorder.simulator.script import HONEST, ActiveFault, Script, Treatment, altered_text
from recorder.simulator.settings import SimulatorSettings

_GROUPS = "/{prefix:v1|v1beta}/tasks/groups"
_MAX_REQUEST_BYTES = 64 * 1024 * 1024


class SimulatorApp:
    """The request handlers and their shared state. The caller closes `log`."""

    def __init__(self, settings: SimulatorSettings, clock: Clock, log: RequestLog) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._groups = Groups(settings.seed, settings.speed, settings.mix)
        self._script = Script(settings.outages, settings.scenario, settings.seed, clock())
        self._stopping = asyncio.Event()

    def application(self) -> web.Application:
        middlewares = [self._logged, self._errors_as_json]
        app = web.Application(middlewares=middlewares, client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_post(_GROUPS, self._create)
        app.router.add_get(_GROUPS + "/{taskgroup_id}", self._retrieve, allow_head=False)
        app.router.add_post(_GROUPS + "/{taskgroup_id}/runs", self._add_runs)
        app.router.add_get(_GROUPS + "/{taskgroup_id}/runs", self._runs, allow_head=False)
        app.on_shutdown.append(self._release)
        return app

    async def _create(self, request: web.Request) -> web.Response:
        body = read_request_body(CreateGroup, await request.read())
        now = self._clock()
        return compact_json_response(self._groups.create(body.metadata, now).body(now))

    async def _retrieve(self, request: web.Request) -> web.Response:
        taskgroup_id = request.match_info["taskgroup_id"]
        group = self._groups.find(taskgroup_id)
        return (
            group_not_found(taskgroup_id)
            if group is None
            else compact_json_response(group.body(self._clock()))
        )

    async def _add_runs(self, request: web.Request) -> web.Response:
        raw = await request.read()
        taskgroup_id = request.match_info["taskgroup_id"]
        group = self._groups.find(taskgroup_id)
        if group is None:
            return group_not_found(taskgroup_id)
        steering = read_steering(request.headers)
        processors = [run.processor for run in read_request_body(AddRuns, raw).inputs]
        cursor = str(group.run_count) if group.run_count else None
        now = self._clock()
        run_ids = self._groups.add_runs(group, processors, steering, now)
        return compact_json_response(
            {
                "status": group.status(now),
                "run_ids": run_ids,
                "event_cursor": cursor,
                "run_cursor": cursor,
            }
        )

    async def _runs(self, request: web.Request) -> web.Response:
        taskgroup_id = request.match_info["taskgroup_id"]
        group = self._groups.find(taskgroup_id)
        if group is None:
            return group_not_found(taskgroup_id)
        events = run_events(
            self._groups.runs(group),
            self._clock(),
            after=request.query.get("last_event_id", ""),
            status=request.query.get("status"),
        )
        return web.Response(body=b"".join(events), content_type=EVENT_STREAM)

    @web.middleware
    async def _logged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        at = self._clock()
        taskgroup_id = request.match_info.get("taskgroup_id")
        if request.method != "GET" or taskgroup_id is None or request.path.endswith("/runs"):
            plain = cast(web.Response, await handler(request))  # no handler here streams
            self._record(request, at, plain)
            return plain
        treatment = self._script.treatment(self._groups.find(taskgroup_id), at)
        await self._delay(request, at, treatment)
        response = await self._respond(request, handler, treatment)
        if isinstance(response, IncompleteResponse):
            self._record(request, at, None, treatment)
            return await send_incomplete(request, response, self._stopping)
        self._record(request, at, response, treatment)
        return response

    async def _delay(self, request: web.Request, at: datetime, treatment: Treatment) -> None:
        if not treatment.delay_seconds:
            return
        try:
            async with asyncio.timeout(treatment.delay_seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self._record(request, at, None, treatment)  # the client has disconnected
            raise

    async def _respond(
        self, request: web.Request, handler: Handler, treatment: Treatment
    ) -> web.Response | IncompleteResponse:
        if treatment.fault is not None:
            return self._fault_response(request, treatment.fault)
        response = cast(web.Response, await handler(request))
        if response.status != 200 or not treatment.alterations:
            return response
        truth = json.loads(str(response.text))
        return web.Response(body=altered_text(truth, treatment.alterations).encode(), content_type=JSON_TYPE)

    def _fault_response(self, request: web.Request, fault: ActiveFault) -> web.Response | IncompleteResponse:
        taskgroup_id = request.match_info["taskgroup_id"]
        group = self._groups.find(taskgroup_id)
        faulty = FaultyRequest(
            request.raw_path, taskgroup_id, group, self._clock(), fault.seconds, fault.values
        )
        return FAULTS[fault.name].act(faulty)

    @web.middleware
    async def _errors_as_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.match_info.http_exception is None and not self._admits(request):
                return unauthorized_response()
            return await handler(request)
        except InvalidRequestError as error:
            return compact_json_response({"detail": error.problems}, 422)
        except web.HTTPException as error:
            return framework_error_response(error)

    def _admits(self, request: web.Request) -> bool:
        key = request.headers.get("x-api-key", "")
        return bool(key) if self._settings.api_key is None else key == self._settings.api_key

    async def _release(self, _: web.Application) -> None:
        self._stopping.set()

    def _record(
        self,
        request: web.Request,
        at: datetime,
        response: web.Response | None,
        treatment: Treatment = HONEST,
    ) -> None:
        self._log.append(
            LoggedRequest(
                at=at,
                answered_at=None if response is None else self._clock(),
                method=request.method,
                path=request.raw_path,
                taskgroup_id=request.match_info.get("taskgroup_id"),
                status=None if response is None else response.status,
                body=None
                if response is None or response.content_type == EVENT_STREAM
                else body_text(response),
                fault=None if treatment.fault is None else treatment.fault.name,
                scenes=tuple(LoggedScene(scene.number, scene.what) for scene in treatment.scenes),
            )
        )
