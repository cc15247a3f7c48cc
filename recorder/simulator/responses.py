"""Responses in the upstream's shapes, and responses that break off."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import uuid4

from aiohttp import web

JSON_TYPE = "application/json"

_LINGER = struct.Struct("hh" if os.name == "nt" else "ii")


def compact_json_response(
    value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return web.Response(body=text.encode(), status=status, headers=headers, content_type=JSON_TYPE)


def error_response(
    status: int,
    message: str,
    detail: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error in the upstream's own shape, with a new reference id each time."""
    error = {"ref_id": str(uuid4()), "message": message, "detail": detail}
    return compact_json_response({"type": "error", "error": error}, status, headers)


def group_not_found(taskgroup_id: str) -> web.Response:
    return error_response(404, "Task group not found", {"taskgroup_id": taskgroup_id})


def unauthorized_response() -> web.Response:
    return error_response(401, "A valid API key is required in the header x-api-key")


def framework_error_response(error: web.HTTPException) -> web.Response:
    """An error raised by the web framework (no such path, wrong method, too large), as JSON."""
    allow = error.headers.get("Allow")
    return compact_json_response({"detail": error.reason}, error.status, {"Allow": allow} if allow else None)


def body_text(response: web.Response) -> str | None:
    """The exact text of a body, or None if it is not valid UTF-8."""
    try:
        return response.text or ""
    except UnicodeDecodeError:
        return None


class ConnectionEnd(Enum):
    """How a connection ends after an incomplete response."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class IncompleteResponse:
    """Raw bytes to send, possibly none, and how the connection then ends."""

    end: ConnectionEnd
    data: bytes = b""


async def send_incomplete(
    request: web.Request, response: IncompleteResponse, stopping: asyncio.Event
) -> web.Response:
    """Send the bytes and end the connection; one that hangs ends when `stopping` is set."""
    transport = request.transport
    if transport is not None:
        transport.write(response.data)
        if response.end is ConnectionEnd.HANG:
            await stopping.wait()
        if response.end is ConnectionEnd.RESET:
            _reset_on_close(transport)
        transport.close()
    return web.Response()  # aiohttp requires one, but the connection is closed by now


def _reset_on_close(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.pack(1, 0))
