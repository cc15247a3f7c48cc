"""The simulator as a web application: routes, the key, what scenes bring, and a log line for each request."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

from recorder.simulator.answers import (
    JSON_TYPE,
    framework_answer,
    json_answer,
    text_of,
    unauthorized,
    unknown_group,
)
from recorder.simulator.catalogue import FAULTS
from recorder.simulator.clock import SimulatedClock
from recorder.simulator.faults import Asked, Broken
from recorder.simulator.groups import Groups
from recorder.simulator.intake import (
    AddRuns,
    CreateGroup,
    InvalidRequestError,
    read_request_body,
    read_steering,
)
from recorder.simulator.log import LoggedRequest, RequestLog, SceneMet
from recorder.simulator.script import HONEST, Meeting, Script, ScriptedTrouble, altered_text
from recorder.simulator.settings import SimulatorSettings
from recorder.simulator.wire import break_off

_GROUPS = "/{prefix:v1|v1beta}/tasks/groups"
_MAX_REQUEST_BYTES = 64 * 1024 * 1024


class SimulatorApp:
    """The handlers and what they share. `log` stays the caller's to close."""

    def __init__(self, settings: SimulatorSettings, clock: SimulatedClock, log: RequestLog) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._groups = Groups(settings.seed, settings.speed, settings.mix)
        self._script = Script(settings.outages, settings.scenario, settings.seed, clock())
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
        wanted = read_request_body(CreateGroup, await request.read())
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
        processors = [run.processor for run in read_request_body(AddRuns, raw).inputs]
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
        taskgroup_id = request.match_info.get("taskgroup_id")
        if request.method != "GET" or taskgroup_id is None:
            response = cast(web.Response, await handler(request))  # no handler here streams
            self._record(request, at, response)
            return response
        meeting = self._script.meeting(self._groups.find(taskgroup_id), at)
        await self._delay(request, at, meeting)
        answer = await self._answer(request, handler, meeting)
        self._record(request, at, None if isinstance(answer, Broken) else answer, meeting)
        if isinstance(answer, Broken):
            return await break_off(request, answer, self._stopping)
        return answer

    async def _delay(self, request: web.Request, at: datetime, meeting: Meeting) -> None:
        if not meeting.delay_seconds:
            return
        try:
            async with asyncio.timeout(meeting.delay_seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self._record(request, at, None, meeting)  # who asked has gone
            raise

    async def _answer(
        self, request: web.Request, handler: Handler, meeting: Meeting
    ) -> web.Response | Broken:
        if meeting.trouble is not None:
            return self._lie(request, meeting.trouble)
        response = cast(web.Response, await handler(request))
        if response.status != 200 or not meeting.alterations:
            return response
        truth = json.loads(str(response.text))
        return web.Response(body=altered_text(truth, meeting.alterations).encode(), content_type=JSON_TYPE)

    def _lie(self, request: web.Request, trouble: ScriptedTrouble) -> web.Response | Broken:
        taskgroup_id = request.match_info["taskgroup_id"]
        group = self._groups.find(taskgroup_id)
        now = self._clock()
        truth = {} if group is None else group.body(now)
        return FAULTS[trouble.fault].act(Asked(request.raw_path, taskgroup_id, now, truth, trouble.values))

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

    async def _release(self, _: web.Application) -> None:
        self._stopping.set()

    def _record(
        self,
        request: web.Request,
        at: datetime,
        response: web.Response | None,
        meeting: Meeting = HONEST,
    ) -> None:
        self._log.append(
            LoggedRequest(
                at=at,
                answered_at=None if response is None else self._clock(),
                method=request.method,
                path=request.raw_path,
                taskgroup_id=request.match_info.get("taskgroup_id"),
                status=None if response is None else response.status,
                body=None if response is None else text_of(response),
                fault=None if meeting.trouble is None else meeting.trouble.fault,
                scenes=tuple(SceneMet(scene.number, scene.what) for scene in meeting.scenes),
            )
        )
