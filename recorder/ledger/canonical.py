"""The canonical form of JSON values (RFC 8785), and the types of JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import orjson
import rfc8785

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
JsonObject = Mapping[str, Any]

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that every RFC 8785 implementation carries exactly."""

_PLAIN = frozenset({str, bool, NoneType, orjson.Fragment})


class NotCanonicalError(ValueError):
    """The value has no RFC 8785 form."""


def canonical(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`; a member of it may be a `Fragment` that is in this form already.

    Raises:
        NotCanonicalError: `value` has no such form: it has a lone surrogate, or a number out of range.
    """
    form = plain_form(value)
    if form is not None:
        return form
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise NotCanonicalError(str(error)) from None


def plain_form(value: JsonValue) -> bytes | None:
    """Return the RFC 8785 form of a plain value, None for any other value.

    A plain value has no floats, no integers beyond MAX_SAFE_INTEGER, and only ASCII member names. Its form
    parses back to an equal value, and orjson writes it as RFC 8785 does: the two differ in how they write
    floats and in how they sort other names.
    """
    if not _is_plain(value):
        return None
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # A lone surrogate, or deeper nesting than orjson supports.
        return None


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        for name, member in value.items():
            if type(name) is not str or not name.isascii():
                return False
            kind = type(member)
            # Most members are scalars, which need no further call.
            if kind is int:
                if not -MAX_SAFE_INTEGER <= member <= MAX_SAFE_INTEGER:
                    return False
            elif kind not in _PLAIN and not _is_plain(member):
                return False
        return True
    if kind is int:
        return bool(-MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
    return kind in _PLAIN or (kind is list and all(map(_is_plain, value)))
