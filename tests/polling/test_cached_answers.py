"""Polls that a cache answers: what the recorder counts, and when it polls again."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any, cast

import pytest

from recorder.ledger.entries import Action, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, Observation, PollOutcome
from recorder.ledger.transitions import Rules, start
from recorder.ledger.watch import Watch
from recorder.polling.circuit_breaker import REJECTIONS, CircuitBreaker
from recorder.polling.poller import Poller
from recorder.polling.schedule import NO_STRETCH, Intervals
from recorder.polling.upstream_health import Counters, UpstreamHealth
from recorder.store.leases import Claim, PollResult
from tests.support.bodies import GROUP, RUNNING, moment

WINDOW = timedelta(seconds=30)
RULES = Rules(WINDOW, timedelta(seconds=900), None)
INTERVALS = Intervals(timedelta(seconds=10), timedelta(seconds=60), timedelta(seconds=300), WINDOW)


class Cache:
    """Answers polls at `now`, which is also the steady clock, with a copy of what was said at `given`."""

    def __init__(self) -> None:
        self.now = self.given = 0.0

    async def poll(self, _watch: Watch) -> PollOutcome:
        asked, received = moment(self.now - 0.25), moment(self.now)
        return Observation(asked, received, RUNNING, timedelta(seconds=int(self.now - self.given)))


class Recorder:
    """Polls one group through a cache."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), moment(-5), RULES).watch
        upstream, missing = cast(Any, self.cache), cast(Any, None)
        self._poller = Poller(
            upstream, missing, RULES, INTERVALS, steady=lambda: self.cache.now, chance=_Middle()
        )

    def poll(self, at: float, *, given: float) -> tuple[PollOutcome, PollResult]:
        self.cache.now, self.cache.given = at, given
        claim = Claim(self.watch, "me", moment(at + 30))
        outcome, result = asyncio.run(self._poller.poll(claim, stretch=NO_STRETCH, held_until={}))
        self.watch = result.watch
        return outcome, result


class _Middle(random.Random):
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def _seen(watch: Watch) -> tuple[Any, int]:
    assert watch.open is not None
    return watch.open.last_seen_at, watch.open.polls


def test_the_next_poll_is_planned_from_now_and_not_from_the_sight(recorder: Recorder) -> None:
    recorder.poll(0, given=0)
    outcome, result = recorder.poll(70, given=10)
    assert isinstance(outcome, Observation)
    assert _seen(recorder.watch) == (moment(10), 2)
    assert result.next_poll_at == result.watch.due_at == moment(85)


def test_stale_answers_are_polled_again_like_other_failures(recorder: Recorder) -> None:
    recorder.poll(0, given=0)
    for at, wait in ((10, 3.75), (13.75, 7.5), (21.25, 7.5)):
        outcome, result = recorder.poll(at, given=0)
        assert isinstance(outcome, Failure)
        assert outcome.cause is Cause.STALE
        assert (result.entries, result.next_poll_at) == ((), moment(at + wait))
        assert result.watch.due_at == moment(10)
    assert _seen(recorder.watch) == (moment(0), 1)


def test_stale_answers_count_as_failures_of_their_own_cause(recorder: Recorder) -> None:
    recorder.poll(0, given=0)
    outcome, _ = recorder.poll(10, given=0)
    counters, health = Counters(), UpstreamHealth()
    counters.polled(outcome)
    health.polled(outcome)
    assert (counters["failures"], counters["failures.stale"]) == (1, 1)
    trouble = health.as_json()
    assert trouble is not None
    assert trouble["failures"] == {"stale": 1}
    assert (trouble["last_failure"]["cause"], trouble["last_failure"]["http_status"]) == ("stale", 200)


def test_a_stale_answer_does_not_show_that_the_key_is_accepted(recorder: Recorder) -> None:
    breaker = CircuitBreaker(INTERVALS)
    for at in range(REJECTIONS):
        breaker.polled(Failure(moment(at), moment(at), Cause.UNAUTHORIZED, 401, "no"), at)
    recorder.poll(0, given=0)
    stale, _ = recorder.poll(10, given=0)
    breaker.polled(stale, 10)
    assert breaker.tripped
    fresh, _ = recorder.poll(70, given=50)
    breaker.polled(fresh, 70)
    assert not breaker.tripped
    assert breaker.held_until == moment(70)
