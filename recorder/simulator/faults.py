"""Faults of the connection, of the HTTP around a body, and of the body of a 200."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from gzip import compress
from typing import Any

from aiohttp import web

from recorder.simulator.answers import JSON_TYPE, json_answer
from recorder.simulator.bodies import BODIES
from recorder.simulator.json_text import json_text
from recorder.simulator.kinds import GroupKind, GroupKinds, Values, whole


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that meets a fault, and the values of the fault's parameters.

    `truth` is the body of an honest answer.
    """

    path: str
    taskgroup_id: str
    now: datetime
    truth: dict[str, Any]
    values: Values


class Then(Enum):
    """What becomes of a connection on which no whole answer comes."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Broken:
    """No whole answer: these bytes at the most, and then."""

    then: Then
    data: bytes = b""


Lie = Callable[[Asked], web.Response | Broken]

TRANSPORT_FAULTS: GroupKinds[Lie] = GroupKinds()

_MEGABYTE = 1024 * 1024
_SIZE = whole(2 * _MEGABYTE, 1, 256 * _MEGABYTE)
_add = TRANSPORT_FAULTS.add


@_add("finds the connection closed without an answer")
def close(_: Asked) -> Broken:
    return Broken(Then.CLOSE)


@_add("finds the connection reset without an answer")
def reset(_: Asked) -> Broken:
    return Broken(Then.RESET)


@_add("waits for an answer until the simulator ends")
def hang(_: Asked) -> Broken:
    return Broken(Then.HANG)


@_add("gets the head of a 200 and half of its body, and finds the connection closed")
def close_in_body(asked: Asked) -> Broken:
    return Broken(Then.CLOSE, _half(asked))


@_add("gets the head of a 200 and half of its body, and waits for the rest until the simulator ends")
def hang_in_body(asked: Asked) -> Broken:
    return Broken(Then.HANG, _half(asked))


@_add("gets a line that is not HTTP, and finds the connection closed")
def garbage(_: Asked) -> Broken:
    return Broken(Then.CLOSE, b"220 mail.example ready, what do you want?\r\n\r\n")


@_add("gets a true 200 with a header of so many bytes", bytes=whole(65_536, 1, _MEGABYTE))
def huge_header(asked: Asked) -> web.Response:
    return json_answer(asked.truth, headers={"X-Padding": "x" * asked.values["bytes"]})


@_add("gets a true 200 with blanks behind the JSON, so many bytes in all", bytes=_SIZE)
def oversize(asked: Asked) -> web.Response:
    return _padded(asked)


@_add("gets the same in chunks, without a `Content-Length`", bytes=_SIZE)
def oversize_chunked(asked: Asked) -> web.Response:
    response = _padded(asked)
    response.enable_chunked_encoding()
    return response


@_add("gets a true 200 compressed by gzip")
def gzipped(asked: Asked) -> web.Response:
    headers = {"Content-Encoding": "gzip"}
    return web.Response(body=compress(_body(asked), mtime=0), headers=headers, content_type=JSON_TYPE)


@_add("gets a 307 to the same address")
def redirect(asked: Asked) -> web.Response:
    return web.Response(status=307, headers={"Location": asked.path})


def _odd_body(make: Callable[[dict[str, Any]], str]) -> Lie:
    return lambda asked: web.Response(
        body=make(asked.truth).encode("utf-8", "surrogateescape"), content_type=JSON_TYPE
    )


ODD_BODIES = {name: GroupKind(f"gets {what}", _odd_body(make)) for name, (what, make) in BODIES.items()}


def _body(asked: Asked) -> bytes:
    return json_text(asked.truth).encode()


def _padded(asked: Asked) -> web.Response:
    return web.Response(body=_body(asked).ljust(asked.values["bytes"]), content_type=JSON_TYPE)


def _half(asked: Asked) -> bytes:
    body = _body(asked)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {JSON_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body[: len(body) // 2]
