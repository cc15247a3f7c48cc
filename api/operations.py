"""Views that say what they take and give: the request is checked by that, and documented by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from flask import Response, request
from pydantic import BaseModel

from api.accept import require_json
from api.queries import Query

Q = TypeVar("Q", bound=Query)

_ATTRIBUTE = "operation"


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

    The view raises NotAcceptable where no JSON may be answered, and ValidationError with every bad
    parameter.
    """

    def decorate(function: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(function)
        def view(**path: str) -> Response:
            require_json()
            return function(parsed(query), **path)

        summary = str(function.__doc__).strip()
        setattr(view, _ATTRIBUTE, Operation(name, tag, summary, query, answer, problems))
        return view

    return decorate


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return what a view takes and gives, None for one that is not documented."""
    found = getattr(view, _ATTRIBUTE, None)
    return found if isinstance(found, Operation) else None


def parsed(query: type[Q]) -> Q:
    """Return the parameters of the present request.

    Raises:
        ValidationError: with every bad one.
    """
    given = request.args.lists()
    return query.parse({name: values[0] if len(values) == 1 else values for name, values in given})
