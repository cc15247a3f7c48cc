"""Measure the error of `duration_seconds` by polling interval and by the data in the responses.

    python -m benchmarks.duration_error

prints the table in docs/completion.md. Each group is watched from before its 40 s of work begin, at a random
offset from the polls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from statistics import fmean, stdev

from recorder.ledger.entries import StatusContent
from recorder.ledger.status_fields import Phase
from recorder.simulator.runs import Life, OutcomeMix, RunOutcome, Steering, draw_life
from tests.support.ledgers import time
from tests.support.simulated_groups import Batch, Polling, Recording, record

WORK_SECONDS = 40.0
GROUPS = 2000
RUNS = 20

_WORKING = (Phase.ACTIVE, Phase.BLOCKED)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    The `runs` take 40 s altogether: one run takes all of it, several end at different times. `modified_at` is
    whether responses have that member.
    """

    every_seconds: float
    modified_at: bool
    runs: int


@dataclass(frozen=True, slots=True)
class Errors:
    """The results for one setting; errors are estimate minus truth, in seconds.

    `unseen` is the share of groups in which no response showed unfinished work, `outside` the number of
    groups whose bounds do not contain the truth. The naive estimate runs from the first response that shows
    the work, or its end, to the first that shows its end.
    """

    groups: int
    unseen: float
    outside: int
    mean: float
    deviation: float
    naive_mean: float
    naive_deviation: float

    @property
    def standard_error(self) -> float:
        return float(self.deviation / self.groups**0.5)


SETTINGS = tuple(
    Setting(every, modified_at, runs)
    for every in (10, 300)
    for modified_at, runs in ((False, 1), (True, 1), (True, RUNS))
)


@cache
def measure(setting: Setting) -> Errors:
    """Record GROUPS groups, the same ones in every call."""
    random = Random(f"{setting}")  # noqa: S311 - chance, not secrecy
    errors, naive, unseen, outside = [], [], 0, 0
    for _ in range(GROUPS):
        recording = _recorded(setting, random)
        episode = recording.ledger.only()
        shortest, longest = episode.duration_earliest_seconds, episode.duration_latest_seconds
        outside += shortest is None or longest is None or not shortest <= WORK_SECONDS <= longest
        unseen += episode.polls == 1
        errors.append(episode.duration_seconds - WORK_SECONDS)
        naive.append(_naive_seconds(recording) - WORK_SECONDS)
    return Errors(GROUPS, unseen / GROUPS, outside, fmean(errors), stdev(errors), fmean(naive), stdev(naive))


def _recorded(setting: Setting, random: Random) -> Recording:
    every = setting.every_seconds
    batch = Batch(time(random.uniform(2, 3) * every), tuple(_lives(setting.runs, random)))
    polling = Polling(
        enrolled=0,
        until=5 * every + WORK_SECONDS,
        every=every,
        jitter=0,
        modified=float(setting.modified_at),
    )
    return record(time(0), (batch,), polling, random)


def _lives(runs: int, random: Random) -> Iterator[Life]:
    for number in range(runs):
        seconds = WORK_SECONDS if number == 0 else random.uniform(0, WORK_SECONDS)
        yield draw_life(random, "lite", OutcomeMix(), Steering(RunOutcome.COMPLETED, seconds))


def _naive_seconds(recording: Recording) -> float:
    seen = [
        (entry.at, entry.content.fields.phase)
        for entry in recording.ledger.entries
        if isinstance(entry.content, StatusContent)
    ]
    end = next(at for at, phase in seen if phase is Phase.SETTLED)
    start = next((at for at, phase in seen if phase in _WORKING), end)
    return (end - start).total_seconds()


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table, starting with the header."""
    yield (
        "polled every",
        "work",
        "`modified_at`",
        "groups",
        "never seen at work",
        "mean error",
        "standard deviation",
        "naive: mean error",
        "naive: standard deviation",
    )
    for setting in SETTINGS:
        errors = measure(setting)
        yield (
            f"{setting.every_seconds:g} s",
            "1 run" if setting.runs == 1 else f"{setting.runs} runs",
            "yes" if setting.modified_at else "no",
            str(errors.groups),
            f"{errors.unseen:.1%}",
            f"{errors.mean:+.1f} s",
            f"{errors.deviation:.1f} s",
            f"{errors.naive_mean:+.1f} s",
            f"{errors.naive_deviation:.1f} s",
        )


def main() -> None:
    head, *lines = rows()
    table = [head, ("---",) * len(head), *lines]
    sys.stdout.write("".join(f"| {' | '.join(cells)} |\n" for cells in table))


if __name__ == "__main__":
    main()
