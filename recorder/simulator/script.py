"""How each request is treated, given all outages and scenes. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recorder.simulator.alterations import ALTERATIONS
from recorder.simulator.faults import FAULTS
from recorder.simulator.groups import SimulatedGroup
from recorder.simulator.json_bodies import GroupBody, json_text, patched
from recorder.simulator.outages import Fault, Outage, outage_at
from recorder.simulator.scene_kinds import DELAYS, ParameterValues
from recorder.simulator.scenes import Hit, Scene, Visit, hit_by


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault that a request meets, `seconds` after the fault began, and the values of its parameters."""

    name: str
    seconds: float
    values: ParameterValues


@dataclass(frozen=True, slots=True)
class Treatment:
    """How one request is treated: a delay, then either a fault or alterations of the honest body.

    `scenes` are the scenes that apply; there are none if the fault comes from an outage.
    """

    delay_seconds: float = 0.0
    fault: ActiveFault | None = None
    alterations: tuple[Hit, ...] = ()
    scenes: tuple[Scene, ...] = ()


HONEST = Treatment()


class Script:
    """The outages and scenes of a simulator that started at `started_at`."""

    def __init__(
        self, outages: Sequence[Outage], scenes: Sequence[Scene], seed: int, started_at: datetime
    ) -> None:
        self._outages = outages
        self._scenes = scenes
        self._seed = seed
        self._started_at = started_at
        self._turns: Counter[int] = Counter()

    def treatment(self, group: SimulatedGroup | None, now: datetime) -> Treatment:
        """Return the treatment of a GET received now; scenes do not apply to unknown groups."""
        elapsed = (now - self._started_at).total_seconds()
        outage = outage_at(self._outages, elapsed)
        if outage is not None:
            return Treatment(fault=_outage_fault(outage, elapsed))
        if group is None or not self._scenes:
            return HONEST
        self._turns[group.number] += 1
        age = (now - group.created_at).total_seconds()
        visit = Visit(group, self._turns[group.number], elapsed, age)
        hits = (hit_by(scene, visit, self._seed) for scene in self._scenes)
        return _treatment([hit for hit in hits if hit is not None])


def _outage_fault(outage: Outage, elapsed: float) -> ActiveFault:
    remaining = {"retry_after": math.ceil(outage.end - elapsed)}
    given = remaining if outage.fault is Fault.RATE_LIMIT else {}
    return ActiveFault(str(outage.fault), elapsed - outage.start, FAULTS[outage.fault].values(given))


def _treatment(hits: Sequence[Hit]) -> Treatment:
    fault = next((hit for hit in hits if hit.scene.what in FAULTS), None)
    delays = [hit for hit in hits if hit.scene.what in DELAYS]
    used = hits if fault is None else [hit for hit in hits if hit is fault or hit.scene.what in DELAYS]
    return Treatment(
        sum(hit["seconds"] for hit in delays),
        None if fault is None else ActiveFault(fault.scene.what, fault.seconds, fault.scene.values),
        tuple(hit for hit in used if hit.scene.what in ALTERATIONS),
        tuple(hit.scene for hit in used),
    )


def altered_text(truth: GroupBody, alterations: Sequence[Hit]) -> str:
    """Return the text of the honest body with all alterations applied."""
    patches = (ALTERATIONS[hit.scene.what].act(truth, hit) for hit in alterations)
    return json_text(patched(truth, patches))
