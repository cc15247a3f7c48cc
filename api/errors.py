"""Errors as `application/problem+json` (RFC 9457).

The `type` of a problem is the address of its entry in the page /docs/problems. These stay as they are:

- /docs/problems#unknown-group: 404, no group of that id was ever watched
- /docs/problems#unauthorized: 401, tokens are set, and the request has no valid one
- /docs/problems#foreign-host: 403, the request's Host is not a loopback name
- /docs/problems#not-acceptable: 406, the request's Accept rules out what is answered
- /docs/problems#bad-parameter: 422, `errors` names every bad parameter
- /docs/problems#database-unavailable: 503, the database cannot be read, or its schema is another
- /docs/problems#never-seen: 503, in the provider's own shape, a watched group has not been seen yet
- /docs/problems#query-timeout: 503, the database worked on the answer for longer than it may
- /docs/problems#too-many-exports: 503, as many exports as may be are being read
- /docs/problems#broken-ledger: 503, a ledger does not end as its watch row says; `recorder verify` says more
- /docs/problems#internal-error: 500, `instance` is the name under which the log has it
- /docs/problems#not-found, #method-not-allowed, …: what HTTP's own status codes say, by their names
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import structlog
from flask import Flask, Response, request
from pydantic import ValidationError
from sqlalchemy.exc import ProgrammingError
from werkzeug.exceptions import HTTPException

from api.context import context
from api.responses import json_response
from recorder.audit.checkpoints import BrokenHeadError
from recorder.queries.as_of import BadMomentError
from recorder.queries.paging import ForeignCursorError
from recorder.store.durations import TooManyCohortsError
from recorder.store.enrolment import UnknownGroupError
from recorder.store.schema import state_of
from recorder.store.transactions import DatabaseUnavailableError, QueryTimeoutError

MIRROR_PREFIXES = ("/v1/", "/v1beta/")
"""Where the provider's own routes are; errors have its shape there."""
PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 5
PROBLEMS = {
    "unknown-group": (HTTPStatus.NOT_FOUND, "Unknown group", "No group of that id was ever watched."),
    "unauthorized": (
        HTTPStatus.UNAUTHORIZED,
        "Unauthorized",
        "The request has no valid token: as Authorization: Bearer, as a Basic password, or as x-api-key.",
    ),
    "foreign-host": (
        HTTPStatus.FORBIDDEN,
        "Foreign host",
        "Without access tokens the server answers only to the loopback names of its own machine.",
    ),
    "not-found": (HTTPStatus.NOT_FOUND, "Not found", "Nothing is at that path."),
    "method-not-allowed": (
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Method not allowed",
        "The API is read only; the header Allow says what the path takes.",
    ),
    "not-acceptable": (
        HTTPStatus.NOT_ACCEPTABLE,
        "Not acceptable",
        "The header Accept rules out the type of the answer.",
    ),
    "bad-parameter": (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Bad parameter",
        "Parameters are unknown, repeated or malformed; errors names every one of them.",
    ),
    "never-seen": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Never seen",
        "The group is watched, but nothing of it has been seen yet. Ask again later.",
    ),
    "broken-ledger": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Broken ledger",
        "A ledger does not end as its watch row says: nothing is attested. See: recorder verify.",
    ),
    "internal-error": (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "A defect of the server; its log has the error under the name that instance gives.",
    ),
    "too-many-exports": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many exports",
        "As many exports as may be are read by others just now. Ask again later.",
    ),
    "query-timeout": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Query timeout",
        "The database worked on the answer for longer than RECORDER_API_TIMEOUT. Ask for less at once.",
    ),
    "database-unavailable": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Database unavailable",
        "The database cannot be read, or its schema is not the one needed. Ask again later.",
    ),
}
"""Each kind's HTTP status code, its title, and what it means."""

_log = structlog.get_logger("recorder.api")


def problem(kind: str, detail: str, **members: Any) -> Response:
    """Return a problem of one of our own kinds; `members` are added to its body, or take their place."""
    status, title, _ = PROBLEMS[kind]
    response = _response(kind, status, title, detail, **members)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def register_problems(app: Flask) -> None:
    """Answer every error of `app` with a problem."""
    app.register_error_handler(UnknownGroupError, _unknown_group)
    app.register_error_handler(ValidationError, _bad_parameters)
    app.register_error_handler(ForeignCursorError, _foreign_cursor)
    app.register_error_handler(TooManyCohortsError, _too_many_cohorts)
    app.register_error_handler(BadMomentError, _bad_moment)
    app.register_error_handler(DatabaseUnavailableError, _database_unavailable)
    app.register_error_handler(QueryTimeoutError, _query_timeout)
    app.register_error_handler(BrokenHeadError, _broken_ledger)
    app.register_error_handler(ProgrammingError, _not_understood)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _internal_error)


def _response(kind: str, status: HTTPStatus, title: str, detail: str, **members: Any) -> Response:
    if request.path.startswith(MIRROR_PREFIXES):
        return _error_of_the_provider(status, detail, members)
    body = {
        "type": f"/docs/problems#{kind}",
        "title": title,
        "status": status.value,
        "detail": detail,
        "instance": quote(request.path),
        **members,
    }
    return json_response(body, status=status.value, mimetype=PROBLEM_JSON)


def _error_of_the_provider(status: HTTPStatus, detail: str, members: dict[str, Any]) -> Response:
    """What a client of the provider's API can read."""
    name = members.pop("instance", None) or uuid4().urn
    error = {"ref_id": name, "message": detail, "detail": members or None}
    return json_response({"type": "error", "error": error}, status=status.value)


def _unknown_group(error: UnknownGroupError) -> Response:
    return problem("unknown-group", str(error))


def _bad_parameters(error: ValidationError) -> Response:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [{"location": str(item["loc"][0]), "message": item["msg"]} for item in details]
    words = "; ".join(f"{item['location']} {item['message']}" for item in errors)
    return problem("bad-parameter", words, errors=errors)


def _foreign_cursor(error: ForeignCursorError) -> Response:
    return _bad_parameter("cursor", error)


def _too_many_cohorts(error: TooManyCohortsError) -> Response:
    return _bad_parameter("group_by", error)


def _bad_moment(error: BadMomentError) -> Response:
    return _bad_parameter(error.location, error)


def _bad_parameter(location: str, error: Exception) -> Response:
    errors = [{"location": location, "message": str(error)}]
    return problem("bad-parameter", f"{location} {error}", errors=errors)


def _database_unavailable(error: Exception) -> Response:
    # The driver's words are for whoever runs the server, not for whoever asks it.
    _log.error("the database cannot be read", error=str(error))
    return problem("database-unavailable", "the database cannot be read just now; /readyz says more")


def _query_timeout(_: QueryTimeoutError) -> Response:
    _log.warning("a query took too long", path=request.path)
    return problem("query-timeout", "the database worked on it for longer than it may; ask for less at once")


def _broken_ledger(error: BrokenHeadError) -> Response:
    _log.error("a ledger is broken", error=str(error), path=request.path)
    return problem("broken-ledger", f"{error.what}; to see all that is wrong, run: recorder verify")


def _not_understood(error: ProgrammingError) -> Response:
    """A statement that the database does not understand is our defect, unless its schema is another."""
    return _internal_error(error) if state_of(context().engine).at_head else _database_unavailable(error)


def _http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    allow = dict(error.get_headers()).get("Allow")
    if status is HTTPStatus.NOT_FOUND:
        return problem("not-found", f"nothing is at {request.path}; /docs shows what there is")
    if allow is not None:
        allow = f"{allow}, OPTIONS"
        response = problem("method-not-allowed", f"{request.path} takes {allow}")
        response.headers["Allow"] = allow
        return response
    if status is HTTPStatus.NOT_ACCEPTABLE:
        return problem("not-acceptable", str(error.description))
    kind = re.sub(r"\W+", "-", status.phrase.lower())
    return _response(kind, status, status.phrase, status.description)


def _internal_error(error: Exception) -> Response:
    name = uuid4().urn
    _log.error("a request failed", instance=name, path=request.path, exc_info=error)
    return problem("internal-error", "the server's log has it under this instance", instance=name)
