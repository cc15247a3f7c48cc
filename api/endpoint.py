"""Views that say what they take and give: the request is checked by that, and documented by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from flask import Response, request
from pydantic import BaseModel

from api.middleware.negotiation import require_json, require_one_of
from recorder.queries.formats import EXPORTS, FORMATS
from recorder.queries.params import ExportQuery, Query

Q = TypeVar("Q", bound=Query)

_ATTRIBUTE = "operation"
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a view takes and gives.

    `problems` are the HTTP status codes of the errors that it may answer besides those that any may;
    each with the type of its body.
    """

    name: str
    tag: str
    summary: str
    query: type[Query]
    answer: type[BaseModel]
    problems: dict[int, type[BaseModel]]


def operation(
    name: str, *, tag: str, query: type[Q], answer: type[BaseModel], problems: dict[int, type[BaseModel]]
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Make a view of a function that takes a checked query, and whose docstring says what it answers.

    The view raises NotAcceptable where nothing that it has may be answered, and ValidationError with every
    bad parameter. A question that can be exported has the `format` that the header Accept asks for, unless
    it names another.
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
        setattr(view, _ATTRIBUTE, Operation(name, tag, summary, query, answer, problems))
        return view

    return decorate


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return what a view takes and gives, None for one that is not documented."""
    found = getattr(view, _ATTRIBUTE, None)
    return found if isinstance(found, Operation) else None


def parsed(query: type[Q], usual: Mapping[str, str] = _NOTHING) -> Q:
    """Return the parameters of the present request; `usual` are those that it need not name.

    Raises:
        ValidationError: with every bad one.
    """
    given = request.args.lists()
    named = {name: values[0] if len(values) == 1 else values for name, values in given}
    return query.parse({**usual, **named})


def _accepted_format() -> dict[str, str]:
    """The header Accept as a parameter, if it asks for an export."""
    if "format" in request.args:
        return {}
    accepted = FORMATS[require_one_of(list(FORMATS))]
    return {"format": accepted.value} if accepted in EXPORTS else {}
