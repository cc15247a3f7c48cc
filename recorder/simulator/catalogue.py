"""All that a scene can do, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.simulator.contents import CONTENT_ALTERATIONS
from recorder.simulator.counts import COUNT_ALTERATIONS
from recorder.simulator.faults import ODD_BODIES, TRANSPORT_FAULTS, Lie
from recorder.simulator.kinds import GroupKind, number
from recorder.simulator.patches import Alteration
from recorder.simulator.refusals import REFUSALS
from recorder.simulator.timestamps import TIME_ALTERATIONS

SLOW = "slow"
DELAYS: Mapping[str, GroupKind[None]] = {
    SLOW: GroupKind("gets its answer so many seconds later", None, {"seconds": number(1, 0, 3600)})
}
"""They go together with all others; those of several scenes add up."""

FAULTS: Mapping[str, GroupKind[Lie]] = {**TRANSPORT_FAULTS, **REFUSALS, **ODD_BODIES}
"""What comes instead of the truth."""

ALTERATIONS: Mapping[str, GroupKind[Alteration]] = {
    **COUNT_ALTERATIONS,
    **TIME_ALTERATIONS,
    **CONTENT_ALTERATIONS,
}
"""What becomes of the body of an honest 200."""

KINDS: Mapping[str, GroupKind[Any]] = {**DELAYS, **FAULTS, **ALTERATIONS}
