"""Errors as `application/problem+json` (RFC 9457); `problem_kinds` lists the kinds."""

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

from api.bodies import MOST_BODY_BYTES, BadBodyError
from api.context import context
from api.problem_kinds import PROBLEMS
from api.responses import json_response
from recorder.audit.checkpoints import BrokenHeadError
from recorder.queries.as_of import BadMomentError
from recorder.queries.paging import ForeignCursorError
from recorder.store.durations import TooManyCohortsError
from recorder.store.schema import SchemaError, state_of
from recorder.store.tombstones import ArchivedGroupError
from recorder.store.transactions import DatabaseUnavailableError, QueryTimeoutError
from recorder.store.underived import UnderivedError
from recorder.store.watch_changes import UnknownGroupError

MIRROR_PREFIXES = ("/v1/", "/v1beta/")
"""The provider's own routes start with these; errors there have the provider's shape."""
PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 5
NAMED_ERRORS = 3
"""How many errors of a body the detail of its problem repeats."""

_log = structlog.get_logger("recorder.api")


def problem(kind: str, detail: str, **members: Any) -> Response:
    """Return a problem of a kind in `PROBLEMS`; `members` are added to its body or replace its members."""
    status, title, _ = PROBLEMS[kind]
    response = _response(kind, status, title, detail, **members)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def register_problems(app: Flask) -> None:
    """Answer every error of `app` with a problem."""
    app.register_error_handler(UnknownGroupError, _unknown_group)
    app.register_error_handler(ArchivedGroupError, _archived_group)
    app.register_error_handler(ValidationError, _bad_parameters)
    app.register_error_handler(BadBodyError, _bad_body)
    app.register_error_handler(ForeignCursorError, _foreign_cursor)
    app.register_error_handler(TooManyCohortsError, _too_many_cohorts)
    app.register_error_handler(BadMomentError, _bad_moment)
    app.register_error_handler(DatabaseUnavailableError, _database_unavailable)
    app.register_error_handler(SchemaError, _database_unavailable)
    app.register_error_handler(QueryTimeoutError, _query_timeout)
    app.register_error_handler(BrokenHeadError, _broken_ledger)
    app.register_error_handler(UnderivedError, _being_derived)
    app.register_error_handler(ProgrammingError, _programming_error)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _internal_error)


def _response(kind: str, status: HTTPStatus, title: str, detail: str, **members: Any) -> Response:
    if request.path.startswith(MIRROR_PREFIXES):
        return _provider_error(status, detail, members)
    body = {
        "type": f"/docs/problems#{kind}",
        "title": title,
        "status": status.value,
        "detail": detail,
        "instance": quote(request.path),
        **members,
    }
    return json_response(body, status=status.value, mimetype=PROBLEM_JSON)


def _provider_error(status: HTTPStatus, detail: str, members: dict[str, Any]) -> Response:
    """Return an error in the provider's own shape."""
    ref_id = members.pop("instance", None) or uuid4().urn
    error = {"ref_id": ref_id, "message": detail, "detail": members or None}
    return json_response({"type": "error", "error": error}, status=status.value)


def _unknown_group(error: UnknownGroupError) -> Response:
    return problem("unknown-group", str(error))


def _archived_group(error: ArchivedGroupError) -> Response:
    return problem("archived", str(error), tombstone=error.tombstone.members())


def _bad_parameters(error: ValidationError) -> Response:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [{"location": str(item["loc"][0]), "message": item["msg"]} for item in details]
    detail = "; ".join(f"{item['location']} {item['message']}" for item in errors)
    return problem("bad-parameter", detail, errors=errors)


def _bad_body(error: BadBodyError) -> Response:
    errors = [{"location": location, "message": message} for location, message in error.errors]
    named = [f"{location} {message}" for location, message in error.errors[:NAMED_ERRORS]]
    more = len(errors) - len(named)
    detail = "; ".join([*named, *([f"and {more} more, listed in errors"] if more else [])])
    return problem("bad-body", detail, errors=errors)


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
    # The driver's message is for the operator and stays in the log.
    _log.error("the database cannot be used", error=str(error))
    return problem("database-unavailable", "the database cannot be used at the moment; see /readyz")


def _query_timeout(_: QueryTimeoutError) -> Response:
    _log.warning("a query took too long", path=request.path)
    return problem(
        "query-timeout", "the database needed longer than RECORDER_API_TIMEOUT; ask for less at once"
    )


def _broken_ledger(error: BrokenHeadError) -> Response:
    _log.error("a ledger is broken", error=str(error), path=request.path)
    return problem("broken-ledger", f"{error.what}; to find everything that is wrong, run: recorder verify")


def _being_derived(error: UnderivedError) -> Response:
    return problem("being-derived", str(error))


def _programming_error(error: ProgrammingError) -> Response:
    """A statement that the database rejects is a bug of ours, unless the database has another schema."""
    return _internal_error(error) if state_of(context().engine).at_head else _database_unavailable(error)


def _http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    allow = dict(error.get_headers()).get("Allow")
    if status is HTTPStatus.NOT_FOUND:
        return problem("not-found", f"there is nothing at {request.path}; /docs lists the routes")
    if allow is not None:
        allow = f"{allow}, OPTIONS"
        response = problem("method-not-allowed", f"{request.path} accepts only {allow}")
        response.headers["Allow"] = allow
        return response
    if status is HTTPStatus.NOT_ACCEPTABLE:
        return problem("not-acceptable", str(error.description))
    if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return problem("content-too-large", f"the body has more than {MOST_BODY_BYTES} bytes")
    if status is HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        return problem("unsupported-media-type", str(error.description))
    kind = re.sub(r"\W+", "-", status.phrase.lower())
    return _response(kind, status, status.phrase, status.description)


def _internal_error(error: Exception) -> Response:
    instance = uuid4().urn
    _log.error("a request failed", instance=instance, path=request.path, exc_info=error)
    return problem("internal-error", "a bug in the server; the log has this instance", instance=instance)
