"""JSON as text, with literals that no value of Python stands for. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    """Stands in the text as it is, such as `1e400`."""

    text: str


def json_text(value: Any) -> str:
    """Return a value as compact JSON; objects and arrays of it may hold a Literal."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json_text(key)}:{json_text(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
