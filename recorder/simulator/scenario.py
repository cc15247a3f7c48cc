"""Reading a scenario, which is a TOML file of scenes. Pure."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from recorder.simulator.alterations import ALTERATIONS
from recorder.simulator.faults import FAULTS
from recorder.simulator.scene_kinds import DELAYS, SceneKind, is_number
from recorder.simulator.scenes import Scene, SceneStart

SCENE_KINDS: Mapping[str, SceneKind[Any]] = {**DELAYS, **FAULTS, **ALTERATIONS}
"""Everything that a scene can do, by name."""

_ALL = "all"
_MAX_SHOWN_CHARACTERS = 60


class ScenarioError(ValueError):
    """The scenario is invalid. The message is one line with the scene, the member and what is allowed."""


def parse_scenario(raw: bytes) -> tuple[Scene, ...]:
    """Parse the scenes of a file.

    Raises:
        ScenarioError: the file is not TOML, or a scene is invalid.
    """
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"not TOML: {error}") from None
    scenes = document.pop("scenes", [])
    if document:
        raise ScenarioError(f"`{next(iter(document))}` is unknown; only [[scenes]] tables are allowed")
    if not isinstance(scenes, list) or not all(isinstance(scene, dict) for scene in scenes):
        raise ScenarioError("`scenes` must be tables, each starting with the line [[scenes]]")
    return tuple(_scene(number, members) for number, members in enumerate(scenes, start=1))


class _Members:
    """The members of one scene: takes them one by one and reports the first that is invalid."""

    def __init__(self, place: str, members: dict[str, Any]) -> None:
        self._place = place
        self._left = dict(members)
        self._known: list[str] = []

    def take(self, name: str, default: Any, allowed: str, accepts: Callable[[Any], bool]) -> Any:
        self._known.append(name)
        if name not in self._left:
            return default
        value = self._left.pop(name)
        if not accepts(value):
            raise ScenarioError(f"{self._place}: `{name}` must be {allowed}, not {_short(value)}")
        return value

    def require_none_left(self) -> None:
        if self._left:
            known = ", ".join(self._known)
            raise ScenarioError(
                f"{self._place}: `{next(iter(self._left))}` is unknown; the allowed members are {known}"
            )


def _scene(number: int, members: dict[str, Any]) -> Scene:
    what = _what(number, members)
    given = _Members(f"scene {number} ({what})", members)
    given.take("what", None, "a name", lambda _: True)
    groups = given.take("groups", _ALL, 'a group number from 1, a list of them, or "all"', _are_groups)
    label = given.take("label", {}, "a table of strings, numbers and booleans", _is_label)
    start = given.take("from", 0.0, "a number of seconds from 0", _is_seconds)
    after = f"a number of seconds greater than `from` ({start:g})"
    end = given.take("to", math.inf, after, lambda end: _is_seconds(end) and end > start)
    since = given.take("since", SceneStart.START, " or ".join(f'"{name}"' for name in SceneStart), _is_since)
    share = given.take(
        "share", 1.0, "a number from 0 to 1", lambda share: is_number(share) and 0 <= share <= 1
    )
    parameters = SCENE_KINDS[what].parameters.items()
    values = {name: given.take(name, each.default, each.allowed, each.accepts) for name, each in parameters}
    given.require_none_left()
    return Scene(number, what, values, _group_numbers(groups), label, start, end, SceneStart(since), share)


def _what(number: int, members: dict[str, Any]) -> str:
    what = members.get("what")
    if isinstance(what, str) and what in SCENE_KINDS:
        return what
    problem = "is missing" if what is None else f"is {_short(what)}"
    close = get_close_matches(what, SCENE_KINDS, n=1) if isinstance(what, str) else []
    hint = f" ({close[0]}?)" if close else ""
    advice = "`recorder simulate --list-scenes` prints the allowed names"
    raise ScenarioError(f"scene {number}: `what` {problem}{hint}; {advice}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…"


def _group_numbers(groups: Any) -> frozenset[int] | None:
    if groups == _ALL:
        return None
    return frozenset(groups if isinstance(groups, list) else [groups])


def _are_groups(value: object) -> bool:
    return value == _ALL or (
        all(map(_is_group_number, value)) if isinstance(value, list) else _is_group_number(value)
    )


def _is_group_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_label(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, str | bool) or is_number(each) for each in value.values()
    )


def _is_seconds(value: Any) -> bool:
    return is_number(value) and value >= 0


def _is_since(value: object) -> bool:
    return isinstance(value, str) and value in set(SceneStart)
