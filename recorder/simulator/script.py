"""What a request meets, of all scenes and outages. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recorder.simulator.catalogue import ALTERATIONS, DELAYS, FAULTS
from recorder.simulator.groups import SimulatedGroup
from recorder.simulator.json_text import json_text
from recorder.simulator.outages import Fault, Outage, outage_at
from recorder.simulator.patches import patched
from recorder.simulator.scenes import Hit, Scene, Visit, hit_by


@dataclass(frozen=True, slots=True)
class ScriptedTrouble:
    """A fault and the values of its parameters."""

    fault: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Meeting:
    """What one request meets: a delay, and then a fault or alterations of the truth.

    `scenes` are those that it comes from; none where an outage is the fault.
    """

    delay_seconds: float = 0.0
    trouble: ScriptedTrouble | None = None
    alterations: tuple[Hit, ...] = ()
    scenes: tuple[Scene, ...] = ()


HONEST = Meeting()


class Script:
    """All scenes and outages of one simulator that was started at `started_at`."""

    def __init__(
        self, outages: Sequence[Outage], scenes: Sequence[Scene], seed: int, started_at: datetime
    ) -> None:
        self._outages = outages
        self._scenes = scenes
        self._seed = seed
        self._started_at = started_at
        self._turns: Counter[int] = Counter()

    def meeting(self, group: SimulatedGroup | None, now: datetime) -> Meeting:
        """Return what a GET meets that is received now; scenes leave unknown groups alone."""
        elapsed = (now - self._started_at).total_seconds()
        outage = outage_at(self._outages, elapsed)
        if outage is not None:
            return Meeting(trouble=_trouble_of(outage, elapsed))
        if group is None or not self._scenes:
            return HONEST
        self._turns[group.number] += 1
        age = (now - group.created_at).total_seconds()
        visit = Visit(group, self._turns[group.number], elapsed, age)
        found = (hit_by(scene, visit, self._seed) for scene in self._scenes)
        return _meeting([hit for hit in found if hit is not None])


def _trouble_of(outage: Outage, elapsed: float) -> ScriptedTrouble:
    rest = {"retry_after": math.ceil(outage.end - elapsed)} if outage.fault is Fault.RATE_LIMIT else {}
    return ScriptedTrouble(str(outage.fault), FAULTS[outage.fault].values(rest))


def _meeting(hits: Sequence[Hit]) -> Meeting:
    fault = next((hit for hit in hits if hit.scene.what in FAULTS), None)
    delays = [hit for hit in hits if hit.scene.what in DELAYS]
    used = hits if fault is None else [hit for hit in hits if hit is fault or hit.scene.what in DELAYS]
    return Meeting(
        sum(hit["seconds"] for hit in delays),
        None if fault is None else ScriptedTrouble(fault.scene.what, fault.scene.values),
        tuple(hit for hit in used if hit.scene.what in ALTERATIONS),
        tuple(hit.scene for hit in used),
    )


def altered_text(truth: dict[str, Any], alterations: Sequence[Hit]) -> str:
    """Return the text of a body after all alterations."""
    patches = (ALTERATIONS[hit.scene.what].act(truth, hit) for hit in alterations)
    return json_text(patched(truth, patches))
