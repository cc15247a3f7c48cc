"""Views that declare their parameters and responses, used to validate requests and to document the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from flask import Response, request
from pydantic import BaseModel

from api.middleware.negotiation import require_json, require_one_of
from api.schemas.common import Problem
from recorder.queries.formats import EXPORTS, FORMATS, JSON
from recorder.queries.query import ExportQuery, NoQuery, Query

Q = TypeVar("Q", bound=Query)
View = Callable[..., Any]

_ATTRIBUTE = "operation"
_NO_DEFAULTS: Mapping[str, str] = {}
_ALWAYS_POSSIBLE: dict[int, type[BaseModel]] = {406: Problem, 422: Problem, 500: Problem}


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of a view in the OpenAPI document.

    `answer` is the type of its body, None for plain text. `problems` are the HTTP status codes of the errors
    that it may return, each with the type of its body, and `refused` is the body type when access is denied.
    """

    name: str
    tag: str
    summary: str
    query: type[Query]
    answer: type[BaseModel] | None
    problems: dict[int, type[BaseModel]]
    refused: type[BaseModel] = Problem
    content_type: str = JSON


def operation(
    name: str, *, tag: str, query: type[Q], answer: type[BaseModel], problems: dict[int, type[BaseModel]]
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Turn a function that takes a validated query into a view; its docstring is the documented summary.

    The view raises NotAcceptable if the Accept header excludes every format it has, and ValidationError
    with all bad parameters. For an ExportQuery, `format` defaults to what the Accept header prefers.
    """

    def decorate(function: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(function)
        def view(**path: str) -> Response:
            if not issubclass(query, ExportQuery):
                require_json()
                return function(parsed(query), **path)
            response = function(parsed(query, _accepted_format()), **path)
            response.vary.add("Accept")
            return response

        summary = str(function.__doc__).strip()
        document(view, Operation(name, tag, summary, query, answer, _ALWAYS_POSSIBLE | problems))
        return view

    return decorate


def document(view: View, described: Operation) -> None:
    """Attach its description to a view."""
    setattr(view, _ATTRIBUTE, described)


def operation_of(view: View) -> Operation | None:
    """Return the description of a view, None if it is not documented."""
    found = getattr(view, _ATTRIBUTE, None)
    return found if isinstance(found, Operation) else None


def parsed(query: type[Q], defaults: Mapping[str, str] = _NO_DEFAULTS) -> Q:
    """Return the validated parameters of the current request.

    Raises:
        ValidationError: with all bad parameters.
    """
    given = {name: values[0] if len(values) == 1 else values for name, values in request.args.lists()}
    return query.parse({**defaults, **given})


def require_no_parameters() -> None:
    """Refuse parameters in the current request.

    Raises:
        ValidationError: with all parameters given.
    """
    parsed(NoQuery)


def _accepted_format() -> dict[str, str]:
    """Return the `format` that the Accept header asks for, if that is an export."""
    if "format" in request.args:
        return {}
    accepted = FORMATS[require_one_of(list(FORMATS))]
    return {"format": accepted.value} if accepted in EXPORTS else {}
