"""The JSON bodies of requests: read within limits, and checked against a type."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from recorder.queries.formats import JSON

MOST_BODY_BYTES = 1 << 20
BODY = "body"
"""The location of an error in a body as a whole."""

B = TypeVar("B", bound=BaseModel)

_WORDS = {
    "missing": "is missing",
    "model_type": "is not an object",
    "list_type": "is not an array",
    "too_short": "is empty",
}


class BadBodyError(ValueError):
    """A body is not what the route takes; `errors` has the location of each error and a message about it."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{location} {message}" for location, message in self.errors))


def json_object() -> dict[str, Any]:
    """Return the JSON object in the body of the current request.

    Raises:
        UnsupportedMediaType: the body is declared to be something else.
        RequestEntityTooLarge: it has more than MOST_BODY_BYTES.
        BadBodyError: it is not a JSON object in UTF-8, or has duplicate members.
    """
    _require_json_type()
    raw = _limited_body()
    try:
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_object_of,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError:
        raise BadBodyError([(BODY, "is not UTF-8")]) from None
    except json.JSONDecodeError as error:
        raise BadBodyError([(BODY, f"is not JSON: {error.msg} at character {error.pos}")]) from None
    except RecursionError:
        raise BadBodyError([(BODY, "is nested too deeply")]) from None
    except ValueError as error:
        raise BadBodyError([(BODY, f"is not acceptable JSON: {error}")]) from None
    if not isinstance(value, dict):
        raise BadBodyError([(BODY, "is not a JSON object")])
    return value


def checked(body: type[B], value: Any) -> B:
    """Return a value as the type of a body.

    Raises:
        BadBodyError: with an error for every bad member.
    """
    try:
        return body.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise BadBodyError((location_of(item["loc"]), _words(body, item)) for item in found) from None


def location_of(place: Iterable[int | str]) -> str:
    """Return the location of a member, such as `items/0/note`."""
    return "/".join(map(str, place)) or BODY


def _words(body: type[BaseModel], error: ErrorDetails) -> str:
    kind = error["type"]
    if kind == "too_long":
        return f"has more than {error['ctx']['max_length']:,} items"
    if kind == "extra_forbidden":
        return _unknown(str(error["loc"][-1]), body, in_items=len(error["loc"]) > 1)
    return _WORDS.get(kind, error["msg"])


def _unknown(name: str, body: type[BaseModel], *, in_items: bool) -> str:
    """Return what is wrong with an unknown member of a body, or of one of its items."""
    schema = body.model_json_schema()
    own = [*schema["properties"]]
    of_items = [one for part in schema.get("$defs", {}).values() for one in part.get("properties", {})]
    if name in of_items:
        return f"does not go beside {own[0]}; give it in each of them"
    known = of_items if in_items else own
    close = [other for other in get_close_matches(name.lower(), known, n=1) if other != name]
    if close:
        return f"is not a member here; did you mean {close[0]}?"
    return f"is not a member here; the members are {', '.join(known)}"


def _require_json_type() -> None:
    if request.mimetype != JSON or request.mimetype_params.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType(f"send the body as Content-Type: {JSON}")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("send the body without a Content-Encoding")


def _limited_body() -> bytes:
    # Of a body of unknown length, Werkzeug leaves out what is beyond the limit without a word.
    request.max_content_length = MOST_BODY_BYTES + 1
    raw = request.get_data(cache=False)
    if len(raw) > MOST_BODY_BYTES:
        raise RequestEntityTooLarge
    return raw


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {repeated[:80]!a} is given more than once")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
