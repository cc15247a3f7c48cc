"""Claims that wait for a place: what becomes of them if they wait too long, on a pause, and at the end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Engine, select

from recorder.ledger.poll_outcome import Observation
from recorder.polling.circuit_breaker import CircuitBreaker
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.event_job import EventJob
from recorder.polling.missing_check import MissingCheck
from recorder.polling.poller import Poller
from recorder.polling.prefix_search import PrefixSearch
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.retry_hold import RetryHold
from recorder.polling.worker import Worker
from recorder.store.tables import watches
from recorder.store.transactions import reading
from tests.support.store_samples import LEASE, PACE, RULES, at, body, enrol, seen

GROUPS = 5
POLL_TIME = timedelta(seconds=12)


class _Client:
    """Answers when `may_answer` is set."""

    prefix = "/v1beta"

    def __init__(self, stage: _Stage) -> None:
        self.polled: list[str] = []
        self.may_answer = asyncio.Event()
        self._stage = stage

    async def poll(self, taskgroup_id: str) -> Observation:
        self.polled.append(taskgroup_id)
        await self.may_answer.wait()
        return seen(body(taskgroup_id, 1), self._stage.seconds)


class _Stage:
    """A worker with one place, a poll that is under way, and claims that wait for it."""

    def __init__(self, engine: Engine) -> None:
        self.seconds = 1.0
        self.client = _Client(self)
        self.hold = RetryHold()
        writer = DatabaseWriter(engine)
        limiter = RateLimiter(1000, time.monotonic())
        poller = Poller(
            PrefixSearch(cast(Any, self.client), PACE, limiter),
            MissingCheck(writer),
            RULES,
            PACE,
            steady=lambda: self.seconds,
            chance=random.Random(1),
        )
        self.worker = Worker(
            owner="me",
            writer=writer,
            poller=poller,
            rate_limiter=limiter,
            circuit_breaker=CircuitBreaker(PACE),
            hold=self.hold,
            events=EventJob(writer, self.now, stall_after=None, gap_window=PACE.gap_window),
            concurrency=1,
            most_at_once=1,
            lease=LEASE,
            poll_time=POLL_TIME,
            last_chance=timedelta(seconds=1),
            now=self.now,
        )

    def now(self) -> datetime:
        return at(self.seconds)

    async def fill(self) -> None:
        """Claim all groups at once, as a recorder does that polls fast."""
        cast(Any, self.worker.gate).claims = lambda *_: GROUPS
        await self.worker.claim(self.now())
        await asyncio.sleep(0)
        assert len(self.client.polled) == 1
        assert self.worker.waiting == GROUPS - 1

    async def finish(self) -> None:
        """Let polls end, and write their results."""
        self.client.may_answer.set()
        await self.worker.wait_for_polls()
        await self.worker.flush()


def _play(engine: Engine, scene: Callable[[_Stage], Awaitable[None]]) -> list[str]:
    """Play a scene with claims that wait; return the groups that were polled."""
    for number in range(GROUPS):
        enrol(engine, f"tgrp_{number}")

    async def scenario() -> list[str]:
        stage = _Stage(engine)
        await stage.fill()
        await scene(stage)
        return stage.client.polled

    return asyncio.run(scenario())


def _due(engine: Engine) -> set[str]:
    """Return the groups that can be claimed, none of which has an owner."""
    statement = select(watches.c.taskgroup_id).where(
        watches.c.owner.is_(None), watches.c.lease_until.is_(None), watches.c.next_poll_at <= at(1)
    )
    with reading(engine) as connection:
        return set(connection.scalars(statement))


async def _wait_too_long(stage: _Stage) -> None:
    stage.seconds += (LEASE - POLL_TIME).total_seconds() + 1
    await stage.finish()


def test_claims_that_waited_too_long_for_their_leases_are_given_back(engine: Engine) -> None:
    polled = _play(engine, _wait_too_long)
    assert len(polled) == 1
    assert _due(engine) == {f"tgrp_{number}" for number in range(GROUPS)} - set(polled)


async def _wait_in_time(stage: _Stage) -> None:
    stage.seconds += (LEASE - POLL_TIME).total_seconds() - 1
    await stage.finish()
    await stage.finish()


def test_claims_that_waited_less_are_polled(engine: Engine) -> None:
    polled = _play(engine, _wait_in_time)
    assert len(polled) >= 2
    assert _due(engine).isdisjoint(polled)


async def _pause(stage: _Stage) -> None:
    stage.hold.told(at(60), stage.now())
    await stage.finish()


def test_a_pause_that_the_provider_asks_for_holds_back_claims_that_wait(engine: Engine) -> None:
    polled = _play(engine, _pause)
    assert len(polled) == 1
    assert _due(engine) == {f"tgrp_{number}" for number in range(GROUPS)} - set(polled)


async def _stop(stage: _Stage) -> None:
    await stage.worker.close(0)
    await stage.worker.flush()
    await stage.worker.release_claims()
    stage.client.may_answer.set()


def test_a_recorder_that_ends_releases_what_it_did_not_poll(engine: Engine) -> None:
    polled = _play(engine, _stop)
    assert len(polled) == 1
    # The poll that was under way is made again, too.
    assert _due(engine) == {f"tgrp_{number}" for number in range(GROUPS)}
