"""Scenes: what happens to requests for which groups, and when. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from recorder.simulator.groups import GroupMetadataValue, SimulatedGroup


class SceneStart(StrEnum):
    """The moment that a scene's times count from: the simulator's start or the group's creation."""

    START = "start"
    CREATION = "creation"


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that happens to GETs of some groups for some time.

    `number` is the scene's position in the file, from 1, and `what` the name of its kind. `values` has a
    value for each parameter of that kind. `groups` are group numbers in the order of creation, None for all
    groups; a group's metadata must also contain every pair of `label`. `start` (inclusive) and `end`
    (exclusive) are real seconds, counted from `since`. `share` is the fraction of requests that are hit.
    """

    number: int
    what: str
    values: Mapping[str, Any] = field(default_factory=dict)
    groups: frozenset[int] | None = None
    label: Mapping[str, GroupMetadataValue] = field(default_factory=dict)
    start: float = 0.0
    end: float = math.inf
    since: SceneStart = SceneStart.START
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One GET of a group.

    `turn` counts the GETs of that group. `elapsed` and `age` are real seconds since the simulator's start
    and since the group's creation.
    """

    group: SimulatedGroup
    turn: int
    elapsed: float
    age: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A scene that applies to a request, `seconds` after the scene began for its group."""

    scene: Scene
    seconds: float

    def __getitem__(self, parameter: str) -> Any:
        return self.scene.values[parameter]


def hit_by(scene: Scene, visit: Visit, seed: int) -> Hit | None:
    """Return the hit if the scene applies to a request, else None."""
    seconds = visit.elapsed if scene.since is SceneStart.START else visit.age
    if not (scene.start <= seconds < scene.end and _applies_to(scene, visit.group)):
        return None
    return Hit(scene, seconds - scene.start) if _is_drawn(scene, visit, seed) else None


def _applies_to(scene: Scene, group: SimulatedGroup) -> bool:
    if scene.groups is not None and group.number not in scene.groups:
        return False
    metadata = group.metadata or {}
    return all(_same(metadata.get(key), value) for key, value in scene.label.items())


def _same(value: GroupMetadataValue | None, wanted: GroupMetadataValue) -> bool:
    return type(value) is type(wanted) and value == wanted


def _is_drawn(scene: Scene, visit: Visit, seed: int) -> bool:
    """Whether the scene's share includes this request, by seed, scene, group and turn alone."""
    random = Random(f"{seed}/{scene.number}/{visit.group.number}/{visit.turn}")  # noqa: S311 - chance, not secrecy
    return random.random() < scene.share
