"""Compare the schedule with fixed intervals: how many polls it takes, and how late it notices the end.

    .venv/bin/python -m benchmarks.schedule

No request is made: groups are drawn as the simulator draws them, and polled in virtual time from their
creation until a poll shows that all runs have finished. The delay is from the true end to that poll; the
error is that of the middle between it and the poll before, the best guess without `modified_at`.
The recorder's schedule is measured without spare polls, with them, and with them and a cohort: 200 finished
groups of the same processor and size, of the same processor, or of all kinds alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import fmean, quantiles

import click
from rich.console import Console
from rich.table import Table

from recorder.ledger.status_fields import Phase
from recorder.polling.eagerness import Work, eager_interval
from recorder.polling.schedule import JITTER, Intervals, Quietness, interval_after
from recorder.simulator.runs import FINISHED, PROCESSOR_SECONDS, OutcomeMix, Steering, draw_life

SIZES = (1, 10, 100)
START = datetime(2026, 1, 1, tzinfo=UTC)
INTERVALS = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 30)))
FIXED = (1, 10, 60)
BASE = 10
COHORT_SIZE = 200


@dataclass(frozen=True, slots=True)
class Group:
    """When the counts of a group change, and when each run finishes, in seconds from its creation."""

    changes: Sequence[float]
    ends: Sequence[float]


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known after a poll at `now`: `changed` is when the last change was seen, and `polls` how many
    responses in a row have been equal since."""

    now: float
    changed: float
    polls: int
    finished: int
    remaining: int


Schedule = Callable[[Sight], float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many polls a group took, and the delay and error of its end, in seconds."""

    polls: int
    delay: float
    error: float


def draw_group(random: Random, processor: str, size: int) -> Group:
    """Draw a group of `size` runs that are added when it is created."""
    lives = [draw_life(random, processor, OutcomeMix(), Steering()) for _ in range(size)]
    changes = sorted(step.seconds for life in lives for step in life)
    return Group(changes, sorted(life[-1].seconds for life in lives if life[-1].status in FINISHED))


def fixed(seconds: float) -> Schedule:
    """Return the schedule of a loop."""
    return lambda _: seconds


def usual(sight: Sight) -> float:
    """Return the interval that a group backs off to."""
    quietness = Quietness(Phase.ACTIVE, sight.polls, sight.now - sight.changed)
    return interval_after(quietness, INTERVALS).total_seconds()


def with_spare_polls(cohort: Sequence[float] = ()) -> Schedule:
    """Return the schedule of a group while there are polls to spare; `cohort` is how long others took."""

    def schedule(sight: Sight) -> float:
        work = Work(START, _at(sight.changed), sight.finished, sight.remaining)
        eager = eager_interval(work, _at(sight.now), INTERVALS, cohort)
        return usual(sight) if eager is None else min(usual(sight), eager.total_seconds())

    return schedule


def poll(group: Group, schedule: Schedule, random: Random) -> Outcome:
    """Poll a group until its end is seen."""
    now, before, polls = random.uniform(0, 10), 0.0, 0
    seen, changed, equal = -1, 0.0, 0
    while True:
        polls += 1
        changes, finished = bisect_right(group.changes, now), bisect_right(group.ends, now)
        if finished == len(group.ends):
            end = group.ends[-1]
            return Outcome(polls, now - end, abs((before + now) / 2 - end))
        equal = equal + 1 if changes == seen else 1
        changed = changed if changes == seen else now
        seen, before = changes, now
        sight = Sight(now, changed, equal, finished, len(group.ends) - finished)
        now += schedule(sight) * random.uniform(1 - JITTER, 1 + JITTER)


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


Kind = tuple[str, int]
"""A processor and a number of runs."""


def schedules(kind: Kind, durations: Mapping[Kind, Sequence[float]]) -> dict[str, Schedule]:
    """Return the schedules to compare for groups of a kind, given how long earlier groups took."""
    processor = [each for other, found in durations.items() if other[0] == kind[0] for each in found]
    every = [each for found in durations.values() for each in found]
    return {
        **{f"every {seconds} s": fixed(seconds) for seconds in FIXED},
        "recorder, no polls to spare": usual,
        "recorder, no cohort": with_spare_polls(),
        "recorder, cohort of all groups": with_spare_polls(sorted(every)),
        "recorder, cohort by processor": with_spare_polls(sorted(processor)),
        "recorder, cohort by kind": with_spare_polls(sorted(durations[kind])),
    }


def outcomes(groups: Iterable[Group], schedule: Schedule) -> list[Outcome]:
    """Poll all groups with a schedule, each with the same chance."""
    return [poll(group, schedule, Random(number)) for number, group in enumerate(groups)]  # noqa: S311


def rows(name: str, found: Mapping[str, Sequence[Outcome]]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table for some groups, given the outcomes of each schedule."""
    base = found[f"every {BASE} s"]
    for schedule, each_of in found.items():
        delays = [each.delay for each in each_of]
        yield (
            name,
            schedule,
            f"{fmean(each.polls for each in each_of):.1f}",
            f"{sum(each.polls for each in each_of) / sum(each.polls for each in base):.2f}",
            f"{fmean(each.error for each in each_of):.1f}",
            f"{sum(each.error for each in each_of) / sum(each.error for each in base):.2f}",
            f"{fmean(delays):.1f}",
            f"{quantiles(delays, n=20)[-1]:.1f}",
        )


def draw(seed: str, groups: int) -> dict[Kind, list[Group]]:
    """Draw as many groups of each kind."""
    return {
        (processor, size): [
            draw_group(Random(f"{seed}/{processor}/{size}/{number}"), processor, size)  # noqa: S311
            for number in range(groups)
        ]
        for processor in PROCESSOR_SECONDS
        for size in SIZES
    }


@click.command()
@click.option("--groups", default=100, show_default=True, help="Groups of each kind.")
@click.option("--seed", default=1, show_default=True)
@click.option("--all", "by_kind", is_flag=True, help="Also each processor and size.")
def main(groups: int, seed: int, *, by_kind: bool) -> None:
    """Compare schedules by polls, errors and delays."""
    columns = ("groups", "schedule", "polls", f"of {BASE} s", "error s", f"of {BASE} s", "delay s", "p95")
    table = Table(*columns)
    earlier = draw(f"earlier {seed}", COHORT_SIZE)
    durations = {kind: [group.ends[-1] for group in found] for kind, found in earlier.items()}
    together: dict[str, list[Outcome]] = {}
    for kind, drawn in draw(str(seed), groups).items():
        compared = schedules(kind, durations)
        found = {name: outcomes(drawn, schedule) for name, schedule in compared.items()}
        for name, each_of in found.items():
            together.setdefault(name, []).extend(each_of)
        for row in rows(f"{kind[0]}, {kind[1]}", found) if by_kind else ():
            table.add_row(*row)
    for row in rows("all", together):
        table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
