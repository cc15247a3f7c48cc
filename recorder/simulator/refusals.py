"""Answers with a status that says no, and pages where JSON should be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from email.utils import format_datetime

from aiohttp import web

from recorder.simulator.answers import error_answer, json_answer, unauthorized, unknown_group
from recorder.simulator.faults import Asked, Lie
from recorder.simulator.kinds import GroupKind, Parameter, header, number

_PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Bad gateway</h1></body></html>"
_CENTURY_SECONDS = 3_153_600_000
_RETRY: Mapping[str, Parameter] = {
    "retry_after": header(),
    "retry_after_date": number(None, -_CENTURY_SECONDS, _CENTURY_SECONDS),
    "retry_after_ms": header(),
}


def _page(status: int) -> GroupKind[Lie]:
    return GroupKind(
        f"gets a {status} with a page of HTML",
        lambda _: web.Response(text=_PAGE, status=status, content_type="text/html"),
    )


def _plain(status: int, message: str) -> GroupKind[Lie]:
    return GroupKind(f"gets a {status} with an error body", lambda _: error_answer(status, message))


def _retryable(status: int, message: str) -> GroupKind[Lie]:
    return GroupKind(
        f"gets a {status} with an error body, and the `Retry-After` that the parameters say",
        lambda asked: error_answer(status, message, headers=_wishes(asked)),
        _RETRY,
    )


def _wishes(asked: Asked) -> dict[str, str]:
    wishes = {"Retry-After": asked.values["retry_after"], "Retry-After-Ms": asked.values["retry_after_ms"]}
    seconds = asked.values["retry_after_date"]
    if seconds is not None:
        wishes["Retry-After"] = format_datetime(asked.now + timedelta(seconds=seconds), usegmt=True)
    return {name: str(wish) for name, wish in wishes.items() if wish is not None}


def _unprocessable(_: Asked) -> web.Response:
    problem = {"loc": ["path", "taskgroup_id"], "msg": "Value error, no such id", "type": "value_error"}
    return json_answer({"detail": [problem]}, 422)


REFUSALS: Mapping[str, GroupKind[Lie]] = {
    "unauthorized": GroupKind("gets a 401 with an error body", lambda _: unauthorized()),
    "payment_required": _plain(402, "No credit is left"),
    "forbidden": GroupKind(
        "gets a 403 with another shape of error body", lambda _: json_answer({"detail": "Forbidden"}, 403)
    ),
    "not_found": GroupKind("gets a 404 with an error body", lambda asked: unknown_group(asked.taskgroup_id)),
    "request_timeout": _plain(408, "The request took too long"),
    "gone": _plain(410, "The task group is gone"),
    "unprocessable": GroupKind("gets a 422 with a list of problems", _unprocessable),
    "rate_limit": _retryable(429, "Too many requests"),
    "server_error": _plain(500, "Something went wrong"),
    "bad_gateway": _page(502),
    "refuse": _retryable(503, "The service is not available"),
    "unavailable_page": _page(503),
    "page": _page(200),
}
"""By their names; those that outages know too do the same there."""
