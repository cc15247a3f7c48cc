"""The life of one run: the statuses it passes through, and when. Pure: randomness is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class RunStatus(StrEnum):
    """The statuses that the upstream documents for a run."""

    QUEUED = "queued"
    ACTION_REQUIRED = "action_required"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


ACTIVE = frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.CANCELLING})
"""A group with a run in one of these statuses is active; `action_required` does not count."""

FINISHED = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})
"""The statuses that a run never leaves."""


class RunOutcome(StrEnum):
    """How a run ends; a blocked run waits in `action_required` forever."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class OutcomeMix:
    """The shares (0 to 1) of runs that fail, are cancelled or are blocked; the rest complete.

    `detour` is the share of runs, whatever their outcome, that wait in `action_required` for a while before
    they continue. `blocked` is 0 by default, because a single blocked run keeps its group from settling.

    Raises:
        ValueError: a share is not between 0 and 1, or failed, cancelled and blocked together exceed 1.
    """

    failed: float = 0.03
    cancelled: float = 0.02
    blocked: float = 0.0
    detour: float = 0.05

    def __post_init__(self) -> None:
        for name in ("failed", "cancelled", "blocked", "detour"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"the share {name} must be from 0 to 1, not {getattr(self, name)}")
        if self.failed + self.cancelled + self.blocked > 1:
            raise ValueError("the shares failed, cancelled and blocked must not exceed 1 in total")

    def draw(self, random: Random) -> RunOutcome:
        """Draw the outcome of one run."""
        point = random.random()
        for outcome, share in self._shares():
            if point < share:
                return outcome
            point -= share
        return RunOutcome.COMPLETED

    def _shares(self) -> tuple[tuple[RunOutcome, float], ...]:
        return (
            (RunOutcome.FAILED, self.failed),
            (RunOutcome.CANCELLED, self.cancelled),
            (RunOutcome.BLOCKED, self.blocked),
        )


@dataclass(frozen=True, slots=True)
class RunStep:
    """The run enters `status` this many simulated seconds after it was added."""

    seconds: float
    status: RunStatus


Life = tuple[RunStep, ...]
"""Steps in chronological order, from `queued` at 0 to the final status."""

PROCESSOR_SECONDS: Mapping[str, tuple[float, float]] = {
    "lite": (10, 60),
    "base": (15, 100),
    "core": (60, 300),
    "pro": (120, 600),
    "ultra": (300, 1500),
    "ultra8x": (300, 7200),
}
"""The shortest and longest running time of each processor, in simulated seconds."""

QUEUE_SECONDS = (0.5, 8.0)
"""The shortest and longest time in the queue, in simulated seconds."""

_CANCELLING_SECONDS = 5.0
_LAST_STATUS = {
    RunOutcome.COMPLETED: RunStatus.COMPLETED,
    RunOutcome.FAILED: RunStatus.FAILED,
    RunOutcome.CANCELLED: RunStatus.CANCELLED,
    RunOutcome.BLOCKED: RunStatus.ACTION_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class Steering:
    """What a client specifies about the runs that it adds; None leaves it to chance.

    With an `outcome`, runs take no detour. With `seconds`, runs do not queue and reach their last status
    exactly this many simulated seconds after being added.
    """

    outcome: RunOutcome | None = None
    seconds: float | None = None


def draw_life(random: Random, processor: str, mix: OutcomeMix, steering: Steering) -> Life:
    """Draw the life of a run on `processor`.

    Raises:
        KeyError: the processor is not one of PROCESSOR_SECONDS.
    """
    queued, running = _draw_durations(random, processor, steering.seconds)
    outcome = steering.outcome or mix.draw(random)
    detour = steering.outcome is None and random.random() < mix.detour
    end = queued + running
    steps = [RunStep(0.0, RunStatus.QUEUED), RunStep(queued, RunStatus.RUNNING)]
    if detour:
        steps.append(RunStep(queued + 0.4 * running, RunStatus.ACTION_REQUIRED))
        steps.append(RunStep(queued + 0.6 * running, RunStatus.RUNNING))
    if outcome is RunOutcome.CANCELLED:
        steps.append(RunStep(end - min(_CANCELLING_SECONDS, 0.2 * running), RunStatus.CANCELLING))
    steps.append(RunStep(end, _LAST_STATUS[outcome]))
    return tuple(steps)


def _draw_durations(random: Random, processor: str, seconds: float | None) -> tuple[float, float]:
    low, high = PROCESSOR_SECONDS[processor]
    if seconds is not None:
        return 0.0, seconds
    # Most runs take far less than the maximum: the distribution peaks at a third of the range.
    return random.uniform(*QUEUE_SECONDS), random.triangular(low, high, low + (high - low) / 3)
