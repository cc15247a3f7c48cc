"""Serializing answers to JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson


class RawJson:
    """JSON text that is sent unchanged."""

    def __init__(self, text: str) -> None:
        self.text = text


def dumps(value: Any) -> bytes:
    """Return `value` as compact UTF-8 JSON, members in their order; it may contain RawJson."""
    try:
        return orjson.dumps(value, default=_fragment)
    except orjson.JSONEncodeError:
        # An upstream body may hold integers beyond 64 bits, or be nested deeper than orjson allows.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_read)
        return text.encode()


_LINE_BREAKS = {mark.encode(): f"\\u{ord(mark):04x}".encode() for mark in "\x85\u2028\u2029"}
"""What some readers take for the end of a line, and its escape in JSON."""


def ndjson_line(value: Any) -> bytes:
    """Return `value` as a line of NDJSON: one line also for readers that split at Unicode's line breaks."""
    line = dumps(value)
    for mark, escape in _LINE_BREAKS.items():
        line = line.replace(mark, escape)
    return line + b"\n"


def _fragment(value: Any) -> orjson.Fragment:
    return orjson.Fragment(_text_of(value))


def _read(value: Any) -> Any:
    return json.loads(_text_of(value))


def _text_of(value: Any) -> str:
    if isinstance(value, RawJson):
        return value.text
    raise TypeError(f"not JSON: {value!r}")
