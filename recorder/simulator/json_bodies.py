"""JSON bodies: writing them with literals that Python has no value for, and patching their members. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

GroupBody = dict[str, Any]
"""The body of a GET of a group."""

MemberPath = tuple[str, ...]
"""The names that lead from the top of a body to one member."""

Patch = Mapping[MemberPath, Any]
"""New values for members; ABSENT removes a member."""

ABSENT = object()


@dataclass(frozen=True, slots=True)
class JsonLiteral:
    """JSON text to be written unchanged, such as `1e400`."""

    text: str


def json_text(value: Any) -> str:
    """Return `value` as compact JSON; its objects and arrays may contain a JsonLiteral."""
    if isinstance(value, JsonLiteral):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json_text(key)}:{json_text(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def patched(body: GroupBody, patches: Iterable[Patch]) -> GroupBody:
    """Return a copy of `body` with all patches applied.

    If several patches change the same member, the first one wins.
    """
    result = deepcopy(body)
    changed: list[MemberPath] = []
    for patch in patches:
        for path, value in patch.items():
            if not any(_overlap(path, other) for other in changed):
                _set(result, path, value)
        changed.extend(patch)
    return result


def _overlap(one: MemberPath, other: MemberPath) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _set(body: GroupBody, path: MemberPath, value: Any) -> None:
    *parents, name = path
    for parent in parents:
        if not isinstance(body.get(parent), dict):
            body[parent] = {}
        body = body[parent]
    if value is ABSENT:
        body.pop(name, None)
    else:
        body[name] = value
