"""Compare the schedule with fixed intervals: how many polls it takes, and how late it notices the end.

    .venv/bin/python -m benchmarks.schedule

No request is made: groups are drawn as the simulator draws them, and polled in virtual time from their
creation until a poll shows that all runs have finished. The delay is from the true end to that poll; the
error is that of the middle between it and the poll before, the best guess without `modified_at`.
The recorder's schedule is measured with its spare polls and without.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
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


def with_spare_polls(sight: Sight) -> float:
    """Return the interval of a group while there are polls to spare."""
    if sight.finished == 0 and sight.remaining > 1:
        return usual(sight)
    work = Work(START, _at(sight.changed), sight.finished, sight.remaining)
    return min(usual(sight), eager_interval(work, _at(sight.now), INTERVALS).total_seconds())


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


SCHEDULES: dict[str, Schedule] = {
    **{f"every {seconds} s": fixed(seconds) for seconds in FIXED},
    "recorder, no polls to spare": usual,
    "recorder": with_spare_polls,
}


def outcomes(groups: Iterable[Group], schedule: Schedule) -> list[Outcome]:
    """Poll all groups with a schedule, each with the same chance."""
    return [poll(group, schedule, Random(number)) for number, group in enumerate(groups)]  # noqa: S311


def rows(name: str, groups: Sequence[Group]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table for some groups."""
    base = outcomes(groups, fixed(10))
    for schedule_name, schedule in SCHEDULES.items():
        found = outcomes(groups, schedule)
        delays = [each.delay for each in found]
        yield (
            name,
            schedule_name,
            f"{fmean(each.polls for each in found):.1f}",
            f"{sum(each.polls for each in found) / sum(each.polls for each in base):.2f}",
            f"{fmean(each.error for each in found):.1f}",
            f"{sum(each.error for each in found) / sum(each.error for each in base):.2f}",
            f"{fmean(delays):.1f}",
            f"{quantiles(delays, n=20)[-1]:.1f}",
        )


@click.command()
@click.option("--groups", default=100, show_default=True, help="Groups of each kind.")
@click.option("--seed", default=1, show_default=True)
@click.option("--all", "by_kind", is_flag=True, help="Also each processor and size.")
def main(groups: int, seed: int, *, by_kind: bool) -> None:
    """Compare schedules by polls, errors and delays."""
    columns = ("groups", "schedule", "polls", "of 10 s", "error s", "of 10 s", "delay s", "p95")
    table = Table(*columns)
    drawn = {
        (processor, size): [
            draw_group(Random(f"{seed}/{processor}/{size}/{number}"), processor, size)  # noqa: S311
            for number in range(groups)
        ]
        for processor in PROCESSOR_SECONDS
        for size in SIZES
    }
    if by_kind:
        for (processor, size), each in drawn.items():
            for row in rows(f"{processor}, {size}", each):
                table.add_row(*row)
    for row in rows("all", [group for each in drawn.values() for group in each]):
        table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
