"""Parse an upstream response body without losing, altering or inventing anything."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from hashlib import sha256
from typing import Any

from recorder.ledger.canonical import (
    MAX_SAFE_INTEGER,
    JsonObject,
    NotCanonicalError,
    canonical,
    plain_form,
)
from recorder.ledger.value_class import value_class

MAX_DEPTH = 256
"""How deep a body may be nested; documented bodies are three levels deep."""

_MAX_INTEGER_DIGITS = 400
_ES_INTEGER_LIMIT = 10**21
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_HTML = re.compile(r"\s*<(!doctype|html)\b", re.IGNORECASE)
_NOT_ZERO = re.compile(r"[1-9]")


class MalformedBodyError(ValueError):
    """The response is not a task group: not JSON, ambiguous JSON, or an object without a `status` object."""


@value_class
class ResponseBody:
    """One response body.

    `value` is the parsed JSON, with whole numbers as int however they are written (1.0 is 1). `text` is the
    raw text, kept only if it has a number that RFC 8785 cannot carry exactly; `value` then has the nearest
    Python number, or the number's own text. `form` is the canonical form, None where `text` is kept.
    `fingerprint` identifies the body: bodies with equal canonical forms have equal fingerprints.
    """

    value: JsonObject
    text: str | None
    form: bytes | None
    fingerprint: str

    @property
    def exact(self) -> bool:
        return self.text is None


def parse_body(raw: bytes) -> ResponseBody:
    """Parse a response body.

    Raises:
        MalformedBodyError: it is not UTF-8 JSON, has duplicate keys or lone surrogates, is nested more
            than MAX_DEPTH levels deep, is not an object, or has no `status` object.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedBodyError(f"not UTF-8 at byte {error.start}") from None
    _refuse_deep_nesting(text)
    numbers = _Numbers()
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=numbers.integer,
            parse_float=numbers.real,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        if _HTML.match(text):
            raise MalformedBodyError("an HTML page instead of JSON") from None
        raise MalformedBodyError(f"not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(value, dict):
        raise MalformedBodyError("not a JSON object")
    if not isinstance(value.get("status"), dict):
        raise MalformedBodyError("no object `status`")
    if numbers.inexact:
        _refuse_lone_surrogates(value)
        return ResponseBody(value, text, None, sha256(b"text\0" + raw).hexdigest())
    form = _canonical(value)
    return ResponseBody(value, None, form, sha256(form).hexdigest())


def body_of(value: JsonObject) -> ResponseBody:
    """Return the body with this value, as `parse_body` reads it from the value's canonical form.

    Raises:
        ValueError: there is no such form, or `parse_body` refuses it.
    """
    form = plain_form(value)
    if form is None or not isinstance(value.get("status"), dict):
        return parse_body(canonical(value))
    return ResponseBody(value, None, form, sha256(form).hexdigest())


class _Numbers:
    """Parse hooks for numbers. They note whether RFC 8785 can carry all of them exactly."""

    def __init__(self) -> None:
        self.inexact = False

    def integer(self, literal: str) -> int | str:
        if len(literal) > _MAX_INTEGER_DIGITS:
            self.inexact = True
            return literal
        number = int(literal)
        if abs(number) > MAX_SAFE_INTEGER:
            self.inexact = True
        return number

    def real(self, literal: str) -> int | float | str:
        number = float(literal)
        if not math.isfinite(number):
            self.inexact = True
            return literal
        if number == 0:
            # Too small for a float, unless it is zero. Its exponent may be too long to compute with.
            self.inexact = self.inexact or bool(_NOT_ZERO.search(literal.lower().partition("e")[0]))
            return 0
        if number.is_integer() and abs(number) <= MAX_SAFE_INTEGER:
            self._compare(literal, str(int(number)))
            return int(number)
        # Between 2^53 and 10^21 RFC 8785 writes a float as an integer, which a reader could not tell from
        # an integer that is not exact.
        if number.is_integer() and abs(number) < _ES_INTEGER_LIMIT:
            self.inexact = True
        else:
            self._compare(literal, repr(number))
        return number

    def _compare(self, literal: str, form: str) -> None:
        if Decimal(literal) != Decimal(form):
            self.inexact = True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedBodyError(f"duplicate key {key[:80]!a}")
            seen.add(key)
    return members


def _constant(name: str) -> Any:
    raise MalformedBodyError(f"not JSON: {name}")


def _canonical(value: JsonObject) -> bytes:
    try:
        return canonical(value)
    except NotCanonicalError:
        raise MalformedBodyError("a lone surrogate in a string") from None


def _refuse_lone_surrogates(value: JsonObject) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedBodyError("a lone surrogate in a string") from None


def _refuse_deep_nesting(text: str) -> None:
    """Keep parsed bodies far from Python's recursion limit, whatever is done with them later."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        piece = match[0]
        depth += (piece in "[{") - (piece in "]}")
        if depth > MAX_DEPTH:
            raise MalformedBodyError(f"nested more than {MAX_DEPTH} levels deep")
