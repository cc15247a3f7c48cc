"""Parameters of pages: those of the queries, as HTML forms send them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, TypeVar

from flask import request

from recorder.queries.query import Query

PageQuery = TypeVar("PageQuery", bound=Query)

_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?", re.ASCII)


def form_query(query: type[PageQuery], *, own: Collection[str] = ()) -> PageQuery:
    """Return the validated parameters of the current request, without the page's `own` ones.

    Forms send fields that were left empty, and times without an offset, which are in UTC here. A filter by
    metadata can be sent as two fields, `key` and `value`.

    Raises:
        ValidationError: with all bad parameters.
    """
    return query.parse({name: value for name, value in form_values().items() if name not in own})


def form_values() -> dict[str, Any]:
    """Return the parameters of the current request that were filled in."""
    given: dict[str, Any] = {}
    for name, values in request.args.lists():
        filled = [_with_offset(value) for value in values if value.strip()]
        if filled:
            given[name] = filled[0] if len(filled) == 1 else filled
    return given


def _with_offset(value: str) -> str:
    """Return a time without an offset as a time in UTC, and anything else as it is."""
    match = _LOCAL.fullmatch(value)
    if match is None:
        return value
    return f"{value}Z" if match[1] else f"{value}:00Z"
