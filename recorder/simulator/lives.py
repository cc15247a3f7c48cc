"""One run's life: which statuses it goes through, and when. Pure: chance comes in as a `Random`."""

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
"""One run in one of these makes its group active; `action_required` does not."""

FINISHED = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})
"""Statuses that no run leaves."""


class RunOutcome(StrEnum):
    """How a run's life ends; a blocked one waits in `action_required` for ever."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class OutcomeMix:
    """Which share (0 to 1) of the runs ends how; the rest completes.

    `detour` is the share, whatever the outcome, that waits in `action_required` for a while and then
    runs on. `blocked` is 0 unless asked for, because a single blocked run keeps its group from ever
    settling.

    Raises:
        ValueError: a share is outside 0 to 1, or failed, cancelled and blocked exceed 1 together.
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
            raise ValueError("the shares failed, cancelled and blocked must not exceed 1 together")

    def draw(self, random: Random) -> RunOutcome:
        """Draw one run's outcome."""
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
    """The run enters `status`, `seconds` of simulated time after it was added."""

    seconds: float
    status: RunStatus


Life = tuple[RunStep, ...]
"""Steps in the order of time; the first is `queued` at 0, and the last is never left."""

PROCESSOR_SECONDS: Mapping[str, tuple[float, float]] = {
    "lite": (10, 60),
    "base": (15, 100),
    "core": (60, 300),
    "pro": (120, 600),
    "ultra": (300, 1500),
    "ultra8x": (300, 7200),
}
"""The shortest and the longest running time of each processor, in seconds."""

QUEUE_SECONDS = (0.5, 8.0)
"""The shortest and the longest time in the queue."""

_CANCELLING_SECONDS = 5.0
_LAST_STATUS = {
    RunOutcome.COMPLETED: RunStatus.COMPLETED,
    RunOutcome.FAILED: RunStatus.FAILED,
    RunOutcome.CANCELLED: RunStatus.CANCELLED,
    RunOutcome.BLOCKED: RunStatus.ACTION_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class Steering:
    """What a client fixes about the runs that it adds; None leaves it to chance.

    With an `outcome` there is no detour. With `seconds` the runs do not queue, and their lives last
    exactly that long (simulated seconds, from being added to the last step).
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
    # Most runs take a good deal less than the longest: the peak lies at a third of the range.
    return random.uniform(*QUEUE_SECONDS), random.triangular(low, high, low + (high - low) / 3)
