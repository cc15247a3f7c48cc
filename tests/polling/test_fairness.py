"""With a rate far too small for the groups, several recorders poll each group in turn: nobody starves."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from sqlalchemy import Engine

from recorder.ledger.poll_outcome import Failure, Observation
from recorder.polling.rate_limiter import RateLimiter
from recorder.status_file import ALIVE_SECONDS
from recorder.store.leases import Claim, claim_due
from recorder.store.transactions import writing
from tests.support.store_samples import at, body, enrol, failed, finished, seen, written

GROUPS, RATE = 24, 1.2
"""At an interval of 10 s the groups that change need twice the rate, and those that fail still more."""
ROUND = GROUPS / RATE
"""The seconds in which the rate allows one poll of each group."""
ROUNDS, LONGEST_WAIT = 9, 3
TICK = 0.5
LEASE = timedelta(seconds=5)
DIES_AT = 4 * ROUND


@dataclass(slots=True)
class _Recorder:
    """Claims what it may and polls it; each poll takes up to 2 s."""

    name: str
    chance: random.Random
    limiter: RateLimiter = field(default_factory=lambda: RateLimiter(RATE, 0))
    running: list[tuple[float, Claim]] = field(default_factory=list)

    def tick(self, engine: Engine, now: float) -> list[str]:
        """Write the polls that have ended, and claim; return the ids of the groups that were written."""
        ended = [(end, claim) for end, claim in self.running if end <= now]
        self.running = [item for item in self.running if item not in ended]
        results = [finished(claim, _outcome(claim.watch.taskgroup_id, end)) for end, claim in ended]
        limit = self.limiter.available(now)
        if not results and not limit:
            return []
        with writing(engine) as connection:
            done = written(connection, *results)
            claims = claim_due(
                connection, owner=self.name, now=at(now), lease_until=at(now) + LEASE, limit=limit
            )
        self.limiter.spend(len(claims))
        self.running += [(now + self.chance.uniform(0.5, 2), claim) for claim in claims]
        return sorted(done)


def _outcome(taskgroup_id: str, now: float) -> Observation | Failure:
    """A third of the groups change all the time, a third never do, and polls of the others fail."""
    kind = int(taskgroup_id[-2:]) % 3
    if kind == 0:
        return failed(now)
    return seen(body(taskgroup_id, round(now) if kind == 1 else 1, 1000), now)


def _polls(engine: Engine) -> Iterator[tuple[float, str]]:
    """Record with three recorders, one of which dies; yield when each poll was written, and its group."""
    chance = random.Random(7)
    recorders = [_Recorder(f"recorder-{number}", chance) for number in range(3)]
    dead = recorders[0]
    for tick in range(round(ROUNDS * ROUND / TICK)):
        now = tick * TICK
        if now >= DIES_AT and dead in recorders:
            recorders.remove(dead)
        noticed = now >= DIES_AT + ALIVE_SECONDS
        for each in chance.sample(recorders, len(recorders)):
            each.limiter.share_among(2 if noticed else 3)
            for taskgroup_id in each.tick(engine, now):
                yield now, taskgroup_id
    assert dead.running, "the recorder that died left no claims behind"


def test_each_group_is_polled_within_a_few_rounds(engine: Engine) -> None:
    for number in range(GROUPS):
        enrol(engine, f"tgrp_{number:02}")
    times: dict[str, list[float]] = defaultdict(lambda: [0.0])
    for now, taskgroup_id in _polls(engine):
        times[taskgroup_id].append(now)
    end = ROUNDS * ROUND
    waits = {
        taskgroup_id: max(later - earlier for earlier, later in pairwise([*polled, end]))
        for taskgroup_id, polled in times.items()
    }
    assert len(waits) == GROUPS
    assert max(waits.values()) <= LONGEST_WAIT * ROUND, waits
    # The rate was used up, so that groups did compete for it.
    polls = sum(len(polled) - 1 for polled in times.values())
    assert 0.8 * RATE * end <= polls <= RATE * end + 3
