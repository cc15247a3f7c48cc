"""A group's metadata as labels, by which groups can be selected and grouped.

A label is a member of the metadata whose value is a scalar. Key and value are JSON texts in the form of
RFC 8785, so 1, "1" and true are three different values, and 1.0 is the same as 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256

from recorder.ledger.canonical import JsonValue, NotCanonicalError, canonical
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.reuse import reuse_last

Scalar = str | int | float | bool

_MAX_BYTES = 200
_DIGEST = "sha256:"


def labels_of(body: ResponseBody) -> tuple[tuple[str, str], ...]:
    """Return the labels in a response body, keys and values as JSON texts, in the order of the keys."""
    return _labels_in(body.value.get("metadata"))


@reuse_last
def _labels_in(metadata: JsonValue) -> tuple[tuple[str, str], ...]:
    if not isinstance(metadata, Mapping):
        return ()
    labels = (
        (label_text(key), label_text(value)) for key, value in metadata.items() if isinstance(value, Scalar)
    )
    return tuple(sorted(labels))


def label_text(scalar: Scalar) -> str:
    """Return a scalar as JSON text; a number that RFC 8785 cannot represent is written as Python does."""
    is_long = isinstance(scalar, str) and len(scalar) > _MAX_BYTES
    return _label_text(scalar) if is_long else _cached_label_text(scalar)


def _label_text(scalar: Scalar) -> str:
    try:
        return canonical(scalar).decode()
    except NotCanonicalError:
        return json.dumps(scalar)


_cached_label_text = lru_cache(maxsize=512, typed=True)(_label_text)
"""The entries of a group mostly have the same labels."""


def scalar_of(text: str) -> Scalar:
    """Return the scalar whose `label_text` is `text`."""
    scalar: Scalar = json.loads(text)
    return scalar


def text_of(text: str) -> str:
    """Return what a filter compares with the scalar whose `label_text` is `text`: a string without quotes, or
    another scalar's JSON text. U+0000, which a SQL text cannot hold, becomes U+FFFD."""
    scalar = scalar_of(text)
    return scalar.replace("\0", "\ufffd") if isinstance(scalar, str) else text


def type_of(text: str) -> str:
    """Return the JSON type of the scalar whose `label_text` is `text`: string, boolean or number."""
    return {'"': "string", "t": "boolean", "f": "boolean"}.get(text[0], "number")


def texts_meant(text: str) -> list[str]:
    """Return the JSON texts of the values that `text` can mean: a string, and possibly another scalar."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [label_text(text)]
    other = isinstance(value, int | float) and label_text(value) == text
    return [label_text(text), text] if other else [label_text(text)]


def mark_of(text: str) -> str:
    """Return the mark of `text`, which represents it in an index: the text, or its digest if it is long."""
    raw = text.encode()
    return text if len(raw) <= _MAX_BYTES else f"{_DIGEST}{sha256(raw).hexdigest()}"


def is_digest(mark: str) -> bool:
    """Whether a mark is a digest; no JSON text starts like one."""
    return mark.startswith(_DIGEST)
