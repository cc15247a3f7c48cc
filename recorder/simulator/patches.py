"""Changing members of a body, so that several changes go together in any combination. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from recorder.simulator.scenes import Hit

Body = dict[str, Any]
Path = tuple[str, ...]
"""The names of the members that lead to one, from the top."""

Patch = Mapping[Path, Any]
"""New values of members; ABSENT takes a member away."""

Alteration = Callable[[Body, Hit], Patch]
"""Says what is to change, seen from the honest body."""

ABSENT = object()


def patched(body: Body, patches: Iterable[Patch]) -> Body:
    """Return the body with all patches; of two that change the same member the first one counts."""
    result = deepcopy(body)
    taken: list[Path] = []
    for patch in patches:
        for path, value in patch.items():
            if not any(_overlap(path, other) for other in taken):
                _set(result, path, value)
        taken.extend(patch)
    return result


def _overlap(one: Path, other: Path) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _set(body: Body, path: Path, value: Any) -> None:
    *parents, name = path
    for parent in parents:
        if not isinstance(body.get(parent), dict):
            body[parent] = {}
        body = body[parent]
    if value is ABSENT:
        body.pop(name, None)
    else:
        body[name] = value
