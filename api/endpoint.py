"""Views that declare their parameters and responses, used to validate requests and to document the API."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from inspect import unwrap
from typing import Any, TypeVar

from flask import Response, request
from pydantic import BaseModel

from api.middleware.negotiation import require_json, require_one_of
from api.schemas.common import Problem
from recorder.queries.formats import CSV, EXPORTS, FORMATS, JSON, MEDIA_TYPES, Format
from recorder.queries.query import NOT_IN_CSV, PAGE_PARAMETERS, ExportQuery, NoQuery, Query

P = TypeVar("P")
Q = TypeVar("Q", bound=Query)
View = Callable[..., Any]

_ATTRIBUTE = "operation"
_FORMAT = "format"
_NO_DEFAULTS: Mapping[str, str] = {}
_ALWAYS_POSSIBLE: dict[int, type[BaseModel]] = {406: Problem, 422: Problem, 500: Problem}


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of a view in the OpenAPI document.

    `answer` is the type of its body, None for plain text. `problems` are the HTTP status codes of the errors
    that it may return, each with the type of its body, and `refused` is the body type when access is denied.
    `absent` are the parameters of `query` that the view does not have. `body` is the type of the request's
    body, `statuses` are those of success, and `headers` are request headers that the view reads.
    """

    name: str
    tag: str
    summary: str
    query: type[Query]
    answer: type[BaseModel] | None
    problems: dict[int, type[BaseModel]]
    refused: type[BaseModel] = Problem
    content_type: str = JSON
    absent: Collection[str] = ()
    method: str = "get"
    body: type[BaseModel] | None = None
    statuses: tuple[int, ...] = (200,)
    headers: tuple[str, ...] = ()

    @property
    def is_export(self) -> bool:
        """Whether the body is always an export."""
        return self.content_type == CSV


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
        # At this path, other formats are left to those who know of them: a client generated from the document
        # could not tell the types of their bodies apart.
        absent = (_FORMAT,) if issubclass(query, ExportQuery) else ()
        document(
            view, Operation(name, tag, summary, query, answer, _ALWAYS_POSSIBLE | problems, absent=absent)
        )
        return view

    return decorate


def body_operation(
    name: str,
    *,
    tag: str,
    permit: Callable[[], P],
    body: type[BaseModel],
    answer: type[BaseModel],
    statuses: tuple[int, ...],
    problems: dict[int, type[BaseModel]],
    headers: tuple[str, ...] = (),
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Turn a function that takes what `permit` returns into a view of requests with a body.

    `permit` refuses the request by an exception, before anything else about it is looked at.
    """

    def decorate(function: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(function)
        def view(**path: str) -> Response:
            permitted = permit()
            require_json()
            require_no_parameters()
            return function(permitted, **path)

        described = Operation(
            name,
            tag,
            str(function.__doc__).strip(),
            NoQuery,
            answer,
            _ALWAYS_POSSIBLE | problems,
            method="post",
            body=body,
            statuses=statuses,
            headers=headers,
        )
        document(view, described)
        return view

    return decorate


def export_view(view: View, form: Format) -> View:
    """Return a view of all that `view`, made by `operation`, selects with its filters, in one format.

    NDJSON is left out of the document: generators warn of its media type, and none has a type for streams.
    """
    described = operation_of(view)
    if described is None:
        raise TypeError("only an operation can be exported")
    media_type, function = MEDIA_TYPES[form], unwrap(view)

    def export(**path: str) -> Response:
        require_one_of([media_type])
        given = _given()
        # Stated once more, the format is a parameter given twice.
        given[_FORMAT] = [form.value, *request.args.getlist(_FORMAT)] if _FORMAT in given else form.value
        response: Response = function(described.query.parse(given), **path)
        return response

    if form is Format.CSV:
        resource = re.sub("^(list|get)", "", described.name)
        summary = f"{resource}, the whole selection as CSV."
        absent = (_FORMAT, *PAGE_PARAMETERS, *NOT_IN_CSV)
        name = f"export{resource}"
        found = replace(described, name=name, summary=summary, answer=None, content_type=CSV, absent=absent)
        document(export, found)
    return export


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
    return query.parse({**defaults, **_given()})


def _given() -> dict[str, Any]:
    return {name: values[0] if len(values) == 1 else values for name, values in request.args.lists()}


def require_no_parameters() -> None:
    """Refuse parameters in the current request.

    Raises:
        ValidationError: with all parameters given.
    """
    parsed(NoQuery)


def _accepted_format() -> dict[str, str]:
    """Return the `format` that the Accept header asks for, if that is an export."""
    if _FORMAT in request.args:
        return {}
    accepted = FORMATS[require_one_of(list(FORMATS))]
    return {_FORMAT: accepted.value} if accepted in EXPORTS else {}
