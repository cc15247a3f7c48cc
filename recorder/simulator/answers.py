"""Answers in the shapes that the upstream has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from aiohttp import web

from recorder.simulator.outages import FAULT_STATUS, Fault, Outage

_GATEWAY_PAGE = "<!DOCTYPE html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"


def json_answer(
    value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return web.Response(body=text.encode(), status=status, headers=headers, content_type="application/json")


def error_answer(
    status: int,
    message: str,
    detail: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error as the upstream itself says it, with a reference that is new each time."""
    error = {"ref_id": str(uuid4()), "message": message, "detail": detail}
    return json_answer({"type": "error", "error": error}, status, headers)


def unknown_group(taskgroup_id: str) -> web.Response:
    return error_answer(404, "Task group not found", {"taskgroup_id": taskgroup_id})


def unauthorized() -> web.Response:
    return error_answer(401, "A valid API key is required in the header x-api-key")


def framework_answer(error: web.HTTPException) -> web.Response:
    """An error of the web framework (no such path, wrong method, too large), as JSON."""
    allow = error.headers.get("Allow")
    return json_answer({"detail": error.reason}, error.status, {"Allow": allow} if allow else None)


def fault_answer(outage: Outage, elapsed: float, taskgroup_id: str) -> web.Response:
    """The answer of an outage that has one, `elapsed` seconds after the simulator's start."""
    if outage.fault is Fault.UNAUTHORIZED:
        return unauthorized()
    if outage.fault is Fault.NOT_FOUND:
        return unknown_group(taskgroup_id)
    if outage.fault is Fault.RATE_LIMIT:
        seconds = math.ceil(outage.end - elapsed)
        return error_answer(429, "Too many requests", headers={"Retry-After": str(seconds)})
    if outage.fault is Fault.BAD_GATEWAY:
        return web.Response(text=_GATEWAY_PAGE, status=502, content_type="text/html")
    return error_answer(FAULT_STATUS[outage.fault], "The service is not available")
