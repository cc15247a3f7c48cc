"""Groups whose truth is known, polled in virtual time with the recorder's own transitions.

The simulator produces the responses. The truth does not come from it but from the lives that its runs
were given. Times are exact to the microsecond.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

from recorder.ledger.entries import Action
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.simulator.groups import SimulatedGroup
from recorder.simulator.runs import FINISHED, Life, OutcomeMix, RunStatus, Steering, draw_life
from tests.support.ledgers import GAP_WINDOW, GROUP, Ledger, seconds, time

POLLS = 150
"""Roughly the maximum number of polls of a drawn group."""

_MIX = OutcomeMix(failed=0.1, cancelled=0.1, blocked=0.01, detour=0.3)
_CAUSES = (Cause.UNREACHABLE, Cause.NOT_FOUND)


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs that were added at the same time."""

    added: datetime
    lives: tuple[Life, ...]

    @property
    def last_change(self) -> datetime:
        return max(self.added + timedelta(microseconds=round(life[-1].seconds * 1e6)) for life in self.lives)

    @property
    def finishes(self) -> list[datetime]:
        lasts = [life[-1] for life in self.lives if life[-1].status in FINISHED]
        return [self.added + timedelta(microseconds=round(last.seconds * 1e6)) for last in lasts]

    @property
    def last_statuses(self) -> frozenset[RunStatus]:
        return frozenset(life[-1].status for life in self.lives)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A true stretch of work: from the time runs were added to a group without unfinished runs until no run
    was unfinished; `end` is None if that never happened.

    Its runs are numbers `runs_before` + 1 to `runs` of the group, and `statuses` are their final statuses.
    """

    start: datetime
    end: datetime | None
    runs_before: int
    runs: int
    statuses: frozenset[RunStatus]


def stretches_of(batches: Iterable[Batch]) -> list[Stretch]:
    """Return the stretches of work in `batches`, which must be sorted by `added`."""
    found: list[Stretch] = []
    for batch in batches:
        before = found[-1].runs if found else 0
        end = batch.last_change if batch.last_statuses <= FINISHED else None
        now = Stretch(batch.added, end, before, before + len(batch.lives), batch.last_statuses)
        last = found[-1] if found else None
        if last is None or (last.end is not None and last.end < now.start):
            found.append(now)
        else:
            found[-1] = replace(
                last,
                end=None if last.end is None or now.end is None else max(last.end, now.end),
                runs=now.runs,
                statuses=last.statuses | now.statuses,
            )
    return found


@dataclass(frozen=True, slots=True)
class Away:
    """A period, in seconds after T0, in which polls fail for `cause`.

    Without a cause, the group is not watched in that period because of `action`.
    """

    start: float
    end: float
    cause: Cause | None
    action: Action


@dataclass(frozen=True, slots=True)
class Polling:
    """How a group is polled, in seconds, from `enrolled` to `until`.

    Polls are `every` seconds apart, varied by the fraction `jitter`. Request and response take up to `delay`
    each. `created` and `modified` are the probabilities that a response has
    `created_at` and `modified_at`.
    """

    enrolled: float
    until: float
    every: float
    jitter: float = 0.1
    delay: float = 1.0
    created: float = 1.0
    modified: float = 1.0
    away: tuple[Away, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """A group's ledger, the number of runs in the last response and the longest round trip in seconds."""

    ledger: Ledger
    shown: int
    longest_delay: float


class _Upstream:
    def __init__(self, created_at: datetime, batches: tuple[Batch, ...]) -> None:
        self._group = SimulatedGroup(GROUP, 1, None, created_at, speed=1)
        self._batches = list(batches)
        self._bodies: dict[str, ResponseBody] = {}

    @property
    def runs(self) -> int:
        return self._group.run_count

    def answer(self, now: datetime, *, created: bool, modified: bool) -> ResponseBody:
        """Return the response at `now`, which must never go back, with or without its two times."""
        while self._batches and self._batches[0].added <= now:
            batch = self._batches.pop(0)
            self._group.add(batch.lives, batch.added)
        value = self._group.body(now)
        if not created:
            del value["created_at"]
        if not modified:
            value["status"]["modified_at"] = None
        text = json.dumps(value)
        if text not in self._bodies:
            self._bodies[text] = parse_body(text.encode())
        return self._bodies[text]


def record(created_at: datetime, batches: tuple[Batch, ...], polling: Polling, random: Random) -> Recording:
    """Poll a group with these runs and return the recording."""
    upstream, ledger = _Upstream(created_at, batches), Ledger(polling.enrolled)
    shown, longest, now = 0, 0.0, polling.enrolled
    away = list(polling.away)
    while now < polling.until:
        while away and away[0].end <= now:
            away.pop(0)
        absent = away[0] if away and away[0].start <= now else None
        asked, answered, now = accumulate((now, *_delays(polling, random)))
        if absent is None:
            created, modified = random.random() < polling.created, random.random() < polling.modified
            body = upstream.answer(time(answered), created=created, modified=modified)
            ledger.see(now, body, asked=asked)
            shown, longest = upstream.runs, max(longest, now - asked)
            now = max(now, asked + polling.every * random.uniform(1 - polling.jitter, 1 + polling.jitter))
            _plan(ledger, time(now), polling.every)
        elif absent.cause is not None:
            ledger.fail(now, absent.cause)
            now += polling.every / 2
        elif ledger.watching:
            ledger.cease(asked, absent.action).resume(max(now, absent.end))
            now = max(now, absent.end)
        else:
            now = absent.end
    return Recording(ledger, shown, longest)


def _delays(polling: Polling, random: Random) -> tuple[float, float]:
    return random.uniform(0, polling.delay), random.uniform(0, polling.delay)


def _plan(ledger: Ledger, due_at: datetime, every: float) -> None:
    gap_at = due_at + timedelta(seconds=max(GAP_WINDOW, every))
    ledger.watch = replace(ledger.watch, due_at=due_at, gap_at=gap_at, poll_due_at=due_at)


@dataclass(frozen=True, slots=True)
class Case:
    """A drawn group: its truth, with when each run that ever finished did so, and its recording."""

    name: str
    stretches: list[Stretch]
    finishes: list[datetime]
    recording: Recording


def draw_case(processor: str, seed: int) -> Case:
    """Draw a group whose runs all use `processor`, and poll it."""
    name = f"{processor}/{seed}"
    random = Random(name)
    batches = _draw_batches(random, processor)
    polling = _draw_polling(random, batches)
    finishes = sorted(finish for batch in batches for finish in batch.finishes)
    return Case(name, stretches_of(batches), finishes, record(time(0), batches, polling, random))


def _draw_batches(random: Random, processor: str) -> tuple[Batch, ...]:
    """Draw batches of runs, each added while earlier ones are running, soon after them, or long after."""
    batches: list[Batch] = []
    added = random.uniform(0, 90)
    for _ in range(random.choice([1, 1, 2, 3, 5])):
        lives = (draw_life(random, processor, _MIX, Steering()) for _ in range(random.choice([1, 2, 3, 8])))
        batches.append(Batch(time(added), tuple(lives)))
        end = max(seconds(batch.last_change) for batch in batches)
        added = random.choice(
            [random.uniform(added, end), end + random.uniform(0.01, 20), end + random.uniform(20, 900)]
        )
    return tuple(batches)


def _draw_polling(random: Random, batches: tuple[Batch, ...]) -> Polling:
    start, end = seconds(batches[0].added), max(seconds(batch.last_change) for batch in batches)
    enrolled = random.choice(
        [random.uniform(0, start), random.uniform(0, start), random.uniform(start, end), end + start]
    )
    fastest = max(1.0, (end - start) / POLLS)
    every = math.exp(random.uniform(math.log(fastest), math.log(300)))
    until = random.choice([random.uniform(enrolled, end), end, end, end]) + random.uniform(1, 4) * every
    return Polling(
        enrolled,
        max(until, enrolled + every),
        every,
        created=random.choice([0, 1, 1, 0.5]),
        modified=random.choice([0, 1, 1, 0.7]),
        away=tuple(_draw_away(random, enrolled, until)),
    )


def _draw_away(random: Random, enrolled: float, until: float) -> Iterator[Away]:
    end = enrolled
    for _ in range(random.choice([0, 1, 2, 4])):
        start = random.uniform(end, until)
        end = min(start + random.choice([random.uniform(5, 120), random.uniform(120, 3000)]), until)
        cause = random.choice([None, *_CAUSES])
        yield Away(start, end, cause, random.choice([Action.PAUSED, Action.STOPPED]))
