"""Ledgers of whole months: simulated groups, polled by the recorder's own rules in a time of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from recorder.ledger.entries import Action, Entry, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import Rules, Transition, cease, fail, observe, remark, start
from recorder.ledger.watch import Watch, WatchState
from recorder.polling.schedule import Intervals, plan
from recorder.simulator.groups import GroupMetadata, SimulatedGroup
from recorder.simulator.runs import OutcomeMix, Steering, draw_life

_HOUR = timedelta(hours=1)
_WINDOW = timedelta(seconds=30)
_RULES = Rules(_WINDOW, timedelta(seconds=900), timedelta(days=7))
_PACE = Intervals(timedelta(seconds=10), timedelta(seconds=60), timedelta(hours=6), _WINDOW)
_PROCESSORS = ("lite", "base", "core", "pro", "ultra")
_OUTAGES = (
    (timedelta(days=3, hours=9), timedelta(minutes=50), Cause.NOT_POLLED),
    (timedelta(days=11, hours=14), timedelta(minutes=20), Cause.SERVER_ERROR),
    (timedelta(days=19, hours=1), timedelta(hours=5), Cause.UNREACHABLE),
    (timedelta(days=26, hours=20), timedelta(minutes=3), Cause.RATE_LIMITED),
)
"""When in each month, for how long and why no responses come."""


def month(number: int) -> datetime:
    """Return when a month begins; January 2026 is number 0."""
    return datetime(2026 + number // 12, number % 12 + 1, 1, tzinfo=UTC)


class MonthsLedger:
    """One group's ledger, until it is no longer watched or `until`, whichever is first."""

    def __init__(self, chance: Random, number: int, created_at: datetime, until: datetime) -> None:
        self._chance = chance
        self._group = _simulated(chance, number, created_at)
        self.enrolled_at = created_at + timedelta(seconds=chance.uniform(0.1, 5))
        self.entries: list[Entry] = []
        self.watch: Watch
        self._take(start(self._group.taskgroup_id, _change(Action.STARTED), self.enrolled_at, _RULES))
        self._record(until)

    def _record(self, until: datetime) -> None:
        chance = self._chance
        now: datetime | None = self.enrolled_at
        quits = self.enrolled_at + chance.choice([3, *[100_000] * 9]) * _HOUR * chance.random()
        vanishes = self.enrolled_at + chance.choice([50, *[100_000] * 29]) * _HOUR
        adds = self.enrolled_at + chance.choice([30, *[100_000] * 7]) * _HOUR
        while now is not None and now < until:
            if now >= adds:
                adds = until
                self._take(remark(self.watch, _change(Action.NOTED, "one batch more"), now))
                _add(self._group, chance, now)
            if now >= quits:
                self._take(cease(self.watch, _change(Action.STOPPED), now))
                return
            now = self._poll(now, now >= vanishes)
            if self.watch.state is WatchState.GONE:
                return

    def _poll(self, now: datetime, vanished: bool) -> datetime | None:
        """Poll, or not if the recorder was off; return when to poll next."""
        cause, ends_at = _outage_at(now)
        if cause is Cause.NOT_POLLED:
            return ends_at
        answered = now + timedelta(microseconds=self._chance.randrange(30_000, 400_000))
        if vanished:
            cause = Cause.NOT_FOUND
        if cause is None:
            body = parse_body(json.dumps(self._group.body(now)).encode())
            step = observe(self.watch, Observation(now, answered, body), _RULES)
        else:
            status = {Cause.NOT_FOUND: 404, Cause.SERVER_ERROR: 503, Cause.RATE_LIMITED: 429}.get(cause)
            step = fail(self.watch, Failure(now, answered, cause, status, "no answer"), _RULES)
        self._take(step)
        planned = plan(self.watch, answered, _PACE, chance=self._chance.uniform(-1, 1))
        self.watch = planned.watch
        return planned.next_poll_at

    def _take(self, step: Transition) -> None:
        self.watch = step.watch
        self.entries.extend(step.entries)


def months_of_ledgers(seed: int, groups: int, months: int) -> Iterator[MonthsLedger]:
    """Yield the ledgers of `groups` groups that were created evenly over `months` months.

    Most are retired, some stopped or gone, and the last ones still watched.
    """
    begin, until = month(0), month(months)
    for number in range(groups):
        chance = Random(f"{seed}-{number}")
        created_at = begin + (until - begin) * (number / groups) + timedelta(seconds=chance.uniform(0, 9000))
        yield MonthsLedger(chance, number, created_at, until)


def _simulated(chance: Random, number: int, created_at: datetime) -> SimulatedGroup:
    metadata: GroupMetadata = {"customer": f"customer {chance.randrange(12)}", "batch": number}
    name, speed = f"tgrp_{chance.getrandbits(128):032x}", chance.choice((0.1, 0.3, 1.0))
    group = SimulatedGroup(name, number, metadata, created_at, speed)
    _add(group, chance, created_at + timedelta(seconds=1))
    return group


def _add(group: SimulatedGroup, chance: Random, now: datetime) -> None:
    processor, mix = chance.choice(_PROCESSORS), OutcomeMix()
    count = chance.randrange(5, 400)
    group.add([draw_life(chance, processor, mix, Steering()) for _ in range(count)], now)


def _outage_at(now: datetime) -> tuple[Cause | None, datetime]:
    """Return why there is no response at this time, None if there is one, and until when."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for begins, lasts, cause in _OUTAGES:
        if first + begins <= now < first + begins + lasts:
            return cause, first + begins + lasts
    return None, now


def _change(action: Action, note: str | None = None) -> WatchChange:
    return WatchChange(action, "ada", note)
