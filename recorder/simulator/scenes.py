"""Scenes: which groups meet what, and when. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from recorder.simulator.groups import MetadataValue, SimulatedGroup


class SceneStart(StrEnum):
    """What a scene's times are counted from."""

    START = "start"
    CREATION = "creation"


@dataclass(frozen=True, slots=True)
class Scene:
    """What GETs of some groups meet for a while.

    `number` is its place among the scenes, from 1. `groups` are numbers by creation, None for all;
    a group must have every pair of `label` in its metadata as well. `start` (included) and `end` (excluded)
    are real seconds since the simulator's start, or since the group's creation. `share` is the part of the
    requests that are hit. `values` has a value for each parameter of what is done.
    """

    number: int
    what: str
    values: Mapping[str, Any] = field(default_factory=dict)
    groups: frozenset[int] | None = None
    label: Mapping[str, MetadataValue] = field(default_factory=dict)
    start: float = 0.0
    end: float = math.inf
    since: SceneStart = SceneStart.START
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One GET of a group.

    `elapsed` and `age` are the real seconds since the simulator's start and since the group's creation;
    `turn` counts the GETs of that group.
    """

    group: SimulatedGroup
    turn: int
    elapsed: float
    age: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A scene that a request meets, `seconds` after the scene began for its group."""

    scene: Scene
    seconds: float

    def __getitem__(self, parameter: str) -> Any:
        return self.scene.values[parameter]


def hit_by(scene: Scene, visit: Visit, seed: int) -> Hit | None:
    """Return how the scene hits a request, None if it does not."""
    seconds = visit.elapsed if scene.since is SceneStart.START else visit.age
    if not (scene.start <= seconds < scene.end and _concerns(scene, visit.group)):
        return None
    return Hit(scene, seconds - scene.start) if _drawn(scene, visit, seed) else None


def _concerns(scene: Scene, group: SimulatedGroup) -> bool:
    if scene.groups is not None and group.number not in scene.groups:
        return False
    metadata = group.metadata or {}
    return all(_same(metadata.get(key), value) for key, value in scene.label.items())


def _same(value: MetadataValue | None, wanted: MetadataValue) -> bool:
    return type(value) is type(wanted) and value == wanted


def _drawn(scene: Scene, visit: Visit, seed: int) -> bool:
    """Draw the lot of a request: it depends on the seed, the scene, the group and the turn alone."""
    lot = Random(f"{seed}/{scene.number}/{visit.group.number}/{visit.turn}")  # noqa: S311 - chance, not secrecy
    return lot.random() < scene.share
