"""Groups of runs, and the body that the upstream would return for one at a given time. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from recorder.ledger.timestamps import format_time
from recorder.simulator.run_stream import SimulatedRun
from recorder.simulator.runs import ACTIVE, FINISHED, Life, OutcomeMix, RunStatus, Steering, draw_life

GroupMetadataValue = str | int | float | bool
GroupMetadata = Mapping[str, GroupMetadataValue]

_MICROSECOND = timedelta(microseconds=1)


class SimulatedGroup:
    """One group. `speed` is the number of simulated seconds that pass for its runs in one real second."""

    def __init__(
        self,
        taskgroup_id: str,
        number: int,
        metadata: GroupMetadata | None,
        created_at: datetime,
        speed: float,
    ) -> None:
        self.taskgroup_id = taskgroup_id
        self.number = number
        self.metadata = metadata
        self.created_at = created_at
        self.run_count = 0
        self.additions: list[_Addition] = []
        self._speed = speed
        self._changes = _Changes()

    def add(self, lives: Sequence[Life], now: datetime) -> None:
        """Add runs with these lives, starting at `now`."""
        self._changes.add(lives, self._microseconds(now), 1_000_000 / self._speed)
        self.run_count += len(lives)

    def body(self, now: datetime) -> dict[str, Any]:
        """Return the body of a GET of this group at `now`, which may be in the past."""
        return {
            "taskgroup_id": self.taskgroup_id,
            "metadata": self.metadata,
            "status": self.status(now),
            "created_at": format_time(self.created_at),
        }

    def status(self, now: datetime) -> dict[str, Any]:
        """Return the `status` member of that body. The counts leave out statuses without runs."""
        at = self._microseconds(now)
        counts = self._changes.counts(at)
        changed = self._changes.latest(at)
        return {
            "num_task_runs": sum(counts.values()),
            "task_run_status_counts": {str(status): count for status, count in counts.items()},
            "is_active": any(status in ACTIVE for status in counts),
            "status_message": self._message(counts),
            "modified_at": None if changed is None else format_time(self.created_at + changed * _MICROSECOND),
        }

    def _message(self, counts: Mapping[RunStatus, int]) -> str | None:
        if not counts:
            return None
        finished = sum(count for status, count in counts.items() if status in FINISHED)
        return f"{finished} of {sum(counts.values())} task runs finished"

    def _microseconds(self, moment: datetime) -> int:
        return (moment - self.created_at) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class _Addition:
    """Runs that were added together. Their lives are drawn again when they are needed."""

    first_number: int
    processors: Sequence[str]
    steering: Steering
    at: datetime


class _Changes:
    """The times at which runs entered and left each status, in microseconds since the group's creation.

    Both lists are sorted, so that a count takes two bisections, however many runs there are.
    """

    def __init__(self) -> None:
        self._entered = {status: array("q") for status in RunStatus}
        self._left = {status: array("q") for status in RunStatus}

    def add(self, lives: Iterable[Life], start: int, scale: float) -> None:
        entered: dict[RunStatus, list[int]] = {status: [] for status in RunStatus}
        left: dict[RunStatus, list[int]] = {status: [] for status in RunStatus}
        for life in lives:
            moments = [start + round(step.seconds * scale) for step in life]
            for step, moment in zip(life, moments, strict=True):
                entered[step.status].append(moment)
            for step, moment in zip(life, moments[1:], strict=False):
                left[step.status].append(moment)
        for status in RunStatus:
            self._entered[status] = _merged(self._entered[status], entered[status])
            self._left[status] = _merged(self._left[status], left[status])

    def counts(self, at: int) -> dict[RunStatus, int]:
        """Return the number of runs in each status at a given time, without the statuses that have none."""
        counts = {
            status: bisect_right(self._entered[status], at) - bisect_right(self._left[status], at)
            for status in RunStatus
        }
        return {status: count for status, count in counts.items() if count}

    def latest(self, at: int) -> int | None:
        """Return the last time up to `at` at which a run entered a status, None if no run had."""
        positions = ((moments, bisect_right(moments, at)) for moments in self._entered.values())
        return max((moments[position - 1] for moments, position in positions if position), default=None)


def _merged(old: array[int], new: list[int]) -> array[int]:
    return array("q", sorted([*old, *new])) if new else old


class Groups:
    """All groups of one simulator.

    Ids and lives depend only on the seed, the group's number and the run's number, never on the time or
    the order of requests.
    """

    def __init__(self, seed: int, speed: float, mix: OutcomeMix) -> None:
        self._seed = seed
        self._speed = speed
        self._mix = mix
        self._groups: dict[str, SimulatedGroup] = {}

    def create(self, metadata: GroupMetadata | None, now: datetime) -> SimulatedGroup:
        """Create a group without runs."""
        number = len(self._groups) + 1
        taskgroup_id = f"tgrp_{self._random(number).getrandbits(128):032x}"
        group = SimulatedGroup(taskgroup_id, number, metadata, now, self._speed)
        self._groups[taskgroup_id] = group
        return group

    def find(self, taskgroup_id: str) -> SimulatedGroup | None:
        return self._groups.get(taskgroup_id)

    def add_runs(
        self, group: SimulatedGroup, processors: Sequence[str], steering: Steering, now: datetime
    ) -> list[str]:
        """Add one run for each of the processors and return the ids of the runs.

        Raises:
            KeyError: a processor is not one of PROCESSOR_SECONDS.
        """
        run_ids = []
        lives = []
        for number, processor in enumerate(processors, start=group.run_count + 1):
            random = self._random(group.number, number)
            run_ids.append(f"trun_{random.getrandbits(128):032x}")
            lives.append(draw_life(random, processor, self._mix, steering))
        group.additions.append(_Addition(group.run_count + 1, tuple(processors), steering, now))
        group.add(lives, now)
        return run_ids

    def runs(self, group: SimulatedGroup) -> Iterator[SimulatedRun]:
        """Yield the runs of a group in the order in which they were added."""
        for addition in group.additions:
            for number, processor in enumerate(addition.processors, start=addition.first_number):
                random = self._random(group.number, number)
                run_id = f"trun_{random.getrandbits(128):032x}"
                life = draw_life(random, processor, self._mix, addition.steering)
                yield SimulatedRun(
                    number, run_id, group.taskgroup_id, processor, life, addition.at, self._speed
                )

    def _random(self, *numbers: int) -> Random:
        return Random("/".join(map(str, (self._seed, *numbers))))  # noqa: S311 - chance, not secrecy
