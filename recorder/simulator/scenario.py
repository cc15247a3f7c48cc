"""Reading a scenario: a TOML file of scenes. Pure."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from recorder.simulator.catalogue import KINDS
from recorder.simulator.kinds import is_number
from recorder.simulator.scenes import Scene, SceneStart

ALL = "all"

_SHOWN = 60


class ScenarioError(ValueError):
    """The text is no scenario: one line that names the scene, its member, and what is allowed."""


def parse_scenario(raw: bytes) -> tuple[Scene, ...]:
    """Read the scenes of a file.

    Raises:
        ScenarioError: it is not TOML, or a scene is not as it must be.
    """
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"not TOML: {error}") from None
    scenes = document.pop("scenes", [])
    if document:
        raise ScenarioError(f"`{next(iter(document))}` is unknown; allowed are tables [[scenes]] alone")
    if not isinstance(scenes, list) or not all(isinstance(scene, dict) for scene in scenes):
        raise ScenarioError("`scenes` must be tables, each under a line [[scenes]]")
    return tuple(_scene(number, members) for number, members in enumerate(scenes, start=1))


class _Members:
    """The members of one scene, taken one after the other, with words for what is wrong with them."""

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

    def finish(self) -> None:
        if self._left:
            known = ", ".join(self._known)
            raise ScenarioError(f"{self._place}: `{next(iter(self._left))}` is unknown; allowed are {known}")


def _scene(number: int, members: dict[str, Any]) -> Scene:
    what = _what(number, members)
    left = _Members(f"scene {number} ({what})", members)
    left.take("what", None, "a name", lambda _: True)
    groups = left.take("groups", ALL, 'a number from 1, a list of them, or "all"', _are_groups)
    label = left.take("label", {}, "a table of texts, numbers, true and false", _is_label)
    start = left.take("from", 0.0, "seconds, from 0", _is_moment)
    after = f"seconds, more than `from` ({start:g})"
    end = left.take("to", math.inf, after, lambda end: _is_moment(end) and end > start)
    since = left.take("since", SceneStart.START, " or ".join(f'"{name}"' for name in SceneStart), _is_since)
    share = left.take(
        "share", 1.0, "a number from 0 to 1", lambda share: is_number(share) and 0 <= share <= 1
    )
    parameters = KINDS[what].parameters.items()
    values = {name: left.take(name, each.default, each.allowed, each.accepts) for name, each in parameters}
    left.finish()
    return Scene(number, what, values, _numbers(groups), label, start, end, SceneStart(since), share)


def _what(number: int, members: dict[str, Any]) -> str:
    what = members.get("what")
    if isinstance(what, str) and what in KINDS:
        return what
    said = "is missing" if what is None else f"is {_short(what)}"
    close = get_close_matches(what, KINDS, n=1) if isinstance(what, str) else []
    hint = f" ({close[0]}?)" if close else ""
    allowed = "the names that `recorder simulate --list-scenes` prints"
    raise ScenarioError(f"scene {number}: `what` {said}{hint}; allowed are {allowed}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _numbers(groups: Any) -> frozenset[int] | None:
    if groups == ALL:
        return None
    return frozenset(groups if isinstance(groups, list) else [groups])


def _are_groups(value: object) -> bool:
    return value == ALL or (
        all(map(_is_number_of_a_group, value)) if isinstance(value, list) else _is_number_of_a_group(value)
    )


def _is_number_of_a_group(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_label(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, str | bool) or is_number(each) for each in value.values()
    )


def _is_moment(value: Any) -> bool:
    return is_number(value) and value >= 0


def _is_since(value: object) -> bool:
    return isinstance(value, str) and value in set(SceneStart)
