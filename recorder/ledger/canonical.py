"""The canonical form of JSON values (RFC 8785), and the types that JSON text is read into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]
JsonObject = Mapping[str, Any]

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that every RFC 8785 implementation carries exactly."""


class NotCanonicalError(ValueError):
    """The value has no RFC 8785 form."""


def canonical(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`.

    Raises:
        NotCanonicalError: RFC 8785 has no form for it: a lone surrogate, a number that it cannot carry.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise NotCanonicalError(str(error)) from None
