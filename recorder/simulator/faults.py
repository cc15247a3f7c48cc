"""Faults: everything that a request can get in place of the honest response."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from gzip import compress

from aiohttp import web

from recorder.simulator.groups import SimulatedGroup
from recorder.simulator.json_bodies import GroupBody, JsonLiteral, json_text
from recorder.simulator.responses import (
    JSON_TYPE,
    ConnectionEnd,
    IncompleteResponse,
    compact_json_response,
    error_response,
    group_not_found,
    unauthorized_response,
)
from recorder.simulator.scene_kinds import (
    Parameter,
    ParameterValues,
    SceneKind,
    SceneKinds,
    header_value,
    number,
    whole_number,
)


@dataclass(frozen=True, slots=True)
class FaultyRequest:
    """A request that meets a fault, `seconds` after the fault began, and the values of its parameters.

    `group` is None if the simulator has no group of this id.
    """

    path: str
    taskgroup_id: str
    group: SimulatedGroup | None
    now: datetime
    seconds: float
    values: ParameterValues

    @property
    def truth(self) -> GroupBody:
        """The body that an honest response would have."""
        return self.earlier(0)[0]

    def earlier(self, seconds: float) -> tuple[GroupBody, float]:
        """Return the body of `seconds` ago, or of the group's creation if that was later, and its age."""
        if self.group is None:
            return {}, 0
        then = max(self.group.created_at, self.now - timedelta(seconds=seconds))
        return self.group.body(then), (self.now - then).total_seconds()


FaultAct = Callable[[FaultyRequest], web.Response | IncompleteResponse]

FAULTS: SceneKinds[FaultAct] = SceneKinds()
"""All faults by name. Those that outages also know behave the same there."""

_MEGABYTE = 1024 * 1024
_SIZE = whole_number(2 * _MEGABYTE, 1, 256 * _MEGABYTE)
_CENTURY_SECONDS = 3_153_600_000
_RETRY: Mapping[str, Parameter] = {
    "retry_after": header_value(),
    "retry_after_date": number(None, -_CENTURY_SECONDS, _CENTURY_SECONDS),
    "retry_after_ms": header_value(),
}
_PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Bad gateway</h1></body></html>"

_add = FAULTS.add


# The connection and the HTTP around the body


@_add("finds the connection closed without a response")
def close(_: FaultyRequest) -> IncompleteResponse:
    return IncompleteResponse(ConnectionEnd.CLOSE)


@_add("finds the connection reset without a response")
def reset(_: FaultyRequest) -> IncompleteResponse:
    return IncompleteResponse(ConnectionEnd.RESET)


@_add("gets no response until the simulator stops")
def hang(_: FaultyRequest) -> IncompleteResponse:
    return IncompleteResponse(ConnectionEnd.HANG)


@_add("gets the head of a 200 and half of its body, then the connection is closed")
def close_in_body(request: FaultyRequest) -> IncompleteResponse:
    return IncompleteResponse(ConnectionEnd.CLOSE, _half(request))


@_add("gets the head of a 200 and half of its body, then nothing until the simulator stops")
def hang_in_body(request: FaultyRequest) -> IncompleteResponse:
    return IncompleteResponse(ConnectionEnd.HANG, _half(request))


@_add("gets a line that is not HTTP, then the connection is closed")
def garbage(_: FaultyRequest) -> IncompleteResponse:
    return IncompleteResponse(ConnectionEnd.CLOSE, b"220 mail.example ready, what do you want?\r\n\r\n")


@_add("gets an honest 200 with an extra header of `bytes` bytes", bytes=whole_number(65_536, 1, _MEGABYTE))
def huge_header(request: FaultyRequest) -> web.Response:
    return compact_json_response(request.truth, headers={"X-Padding": "x" * request.values["bytes"]})


@_add("gets an honest 200 whose JSON is padded with spaces to `bytes` bytes in total", bytes=_SIZE)
def oversize(request: FaultyRequest) -> web.Response:
    return _padded(request)


@_add("gets the same padded 200 in chunks, without a `Content-Length`", bytes=_SIZE)
def oversize_chunked(request: FaultyRequest) -> web.Response:
    response = _padded(request)
    response.enable_chunked_encoding()
    return response


@_add("gets an honest 200 compressed with gzip")
def gzipped(request: FaultyRequest) -> web.Response:
    headers = {"Content-Encoding": "gzip"}
    return web.Response(body=compress(_body(request), mtime=0), headers=headers, content_type=JSON_TYPE)


@_add("gets a 307 redirect to the same URL")
def redirect(request: FaultyRequest) -> web.Response:
    return web.Response(status=307, headers={"Location": request.path})


@_add(
    "gets a 200 as from a cache, with the body of `age` seconds before the scene began and its `Age`",
    age=number(0, 0, _CENTURY_SECONDS),
)
def cached(request: FaultyRequest) -> web.Response:
    body, age = request.earlier(request.seconds + request.values["age"])
    return compact_json_response(body, headers={"Age": str(int(age))})


@_add(
    "gets a 200 as from a replica that lags, with the body of `seconds` seconds ago",
    seconds=number(60, 0, _CENTURY_SECONDS),
)
def lagging(request: FaultyRequest) -> web.Response:
    return compact_json_response(request.earlier(request.values["seconds"])[0])


def _body(request: FaultyRequest) -> bytes:
    return json_text(request.truth).encode()


def _padded(request: FaultyRequest) -> web.Response:
    return web.Response(body=_body(request).ljust(request.values["bytes"]), content_type=JSON_TYPE)


def _half(request: FaultyRequest) -> bytes:
    body = _body(request)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {JSON_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body[: len(body) // 2]


# Error statuses, and HTML pages where JSON is expected


def _page(status: int) -> SceneKind[FaultAct]:
    return SceneKind(
        f"gets a {status} with an HTML page",
        lambda _: web.Response(text=_PAGE, status=status, content_type="text/html"),
    )


def _error(status: int, message: str) -> SceneKind[FaultAct]:
    return SceneKind(f"gets a {status} with an error body", lambda _: error_response(status, message))


def _retryable(status: int, message: str) -> SceneKind[FaultAct]:
    return SceneKind(
        f"gets a {status} with an error body and the `Retry-After` that the parameters describe, if any",
        lambda request: error_response(status, message, headers=_retry_headers(request)),
        _RETRY,
    )


def _retry_headers(request: FaultyRequest) -> dict[str, str]:
    values = request.values
    headers = {"Retry-After": values["retry_after"], "Retry-After-Ms": values["retry_after_ms"]}
    seconds = values["retry_after_date"]
    if seconds is not None:
        headers["Retry-After"] = format_datetime(request.now + timedelta(seconds=seconds), usegmt=True)
    return {name: str(value) for name, value in headers.items() if value is not None}


def _served_under(prefix: str) -> FaultAct:
    def act(request: FaultyRequest) -> web.Response:
        if request.group is None or not request.path.startswith(f"{prefix}/"):
            return error_response(404, "Not Found")
        return compact_json_response(request.truth)

    return act


def _unprocessable(_: FaultyRequest) -> web.Response:
    problem = {"loc": ["path", "taskgroup_id"], "msg": "Value error, no such id", "type": "value_error"}
    return compact_json_response({"detail": [problem]}, 422)


FAULTS.update(
    {
        "unauthorized": SceneKind("gets a 401 with an error body", lambda _: unauthorized_response()),
        "payment_required": _error(402, "No credit is left"),
        "forbidden": SceneKind(
            "gets a 403 with an error body of a different shape",
            lambda _: compact_json_response({"detail": "Forbidden"}, 403),
        ),
        "not_found": SceneKind(
            "gets a 404 with an error body", lambda request: group_not_found(request.taskgroup_id)
        ),
        "v1_only": SceneKind(
            "gets a 404 with an error body unless its path begins with `/v1/`", _served_under("/v1")
        ),
        "v1beta_only": SceneKind(
            "gets a 404 with an error body unless its path begins with `/v1beta/`", _served_under("/v1beta")
        ),
        "request_timeout": _error(408, "The request took too long"),
        "gone": _error(410, "The task group is gone"),
        "unprocessable": SceneKind("gets a 422 with a list of validation errors", _unprocessable),
        "rate_limit": _retryable(429, "Too many requests"),
        "server_error": _error(500, "Something went wrong"),
        "bad_gateway": _page(502),
        "refuse": _retryable(503, "The service is not available"),
        "unavailable_page": _page(503),
        "page": _page(200),
    }
)


# Bodies of a 200 that do not describe a group


def _truncated(truth: GroupBody) -> str:
    text = json_text(truth)
    return text[: len(text) // 2]


def _duplicate_keys(truth: GroupBody) -> str:
    status = json_text(truth["status"])
    opposite = json_text(not truth["status"]["is_active"])
    return json_text({**truth, "status": JsonLiteral(f'{status[:-1]},"is_active":{opposite}}}')})


def _with_message(truth: GroupBody, literal: str) -> str:
    return json_text({**truth, "status": {**truth["status"], "status_message": JsonLiteral(literal)}})


def _no_status(truth: GroupBody) -> str:
    return json_text({name: value for name, value in truth.items() if name != "status"})


def _odd_body(description: str, make: Callable[[GroupBody], str]) -> SceneKind[FaultAct]:
    """A 200 with the text that `make` returns for the true body; U+DC80 to U+DCFF stand for raw bytes."""
    return SceneKind(
        f"gets a 200 with {description}",
        lambda request: web.Response(
            body=make(request.truth).encode("utf-8", "surrogateescape"), content_type=JSON_TYPE
        ),
    )


FAULTS.update(
    {
        "empty": _odd_body("an empty body", lambda _: ""),
        "truncated": _odd_body("only the first half of the JSON, as a complete HTTP response", _truncated),
        "duplicate_keys": _odd_body("`is_active` twice, once true and once false", _duplicate_keys),
        "lone_surrogate": _odd_body(
            "an escaped lone surrogate in `status_message`",
            lambda truth: _with_message(truth, '"half a pair: \\ud83d"'),
        ),
        "not_utf8": _odd_body(
            "a byte in `status_message` that is not valid UTF-8",
            lambda truth: _with_message(truth, '"a byte: \udcff"'),
        ),
        "json_array": _odd_body("the group inside an array", lambda truth: json_text([truth])),
        "json_string": _odd_body("the group inside a JSON string", lambda truth: json_text(json_text(truth))),
        "json_null": _odd_body("null", lambda _: "null"),
        "no_status": _odd_body("a group that lacks `status`", _no_status),
        "status_text": _odd_body(
            "a group whose `status` is a string", lambda truth: json_text({**truth, "status": "running"})
        ),
    }
)
