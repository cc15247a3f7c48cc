"""JSON on the wire."""

from __future__ import annotations

import json
from typing import Any

import orjson
from flask import Response


def dumps(value: Any) -> bytes:
    """Return `value` as compact UTF-8 JSON, its members in the order they have."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # What an upstream said may hold integers beyond 64 bits, or be nested deeper than orjson goes.
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_response(body: Any, *, status: int = 200, mimetype: str = "application/json") -> Response:
    """Return `body` as a response."""
    return Response(dumps(body), status, mimetype=mimetype)


def page_response(page: dict[str, Any]) -> Response:
    """Return a page, with a `Link` to the next one."""
    response = json_response(page)
    if page["next"] is not None:
        response.headers["Link"] = f'<{page["next"]}>; rel="next"'
    return response
