"""Answers in the shapes that the upstream has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from aiohttp import web

JSON_TYPE = "application/json"


def json_answer(
    value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return web.Response(body=text.encode(), status=status, headers=headers, content_type=JSON_TYPE)


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


def text_of(response: web.Response) -> str | None:
    """The exact text of a body, None if it is not UTF-8 throughout."""
    try:
        return response.text or ""
    except UnicodeDecodeError:
        return None
