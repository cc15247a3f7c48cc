"""Failures between the poll and the database."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, insert
from structlog.testing import capture_logs

from recorder.clock import utc_now
from recorder.polling import worker as worker_module
from recorder.polling.circuit_breaker import CircuitBreaker
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.event_job import EventJob
from recorder.polling.missing_check import MissingCheck
from recorder.polling.poller import Poller
from recorder.polling.prefix_search import PrefixSearch
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.retry_hold import RetryHold
from recorder.polling.schedule import Intervals
from recorder.polling.service import Recorder
from recorder.polling.worker import Worker
from recorder.settings import Settings
from recorder.store.database_clock import DatabaseClock
from recorder.store.leases import Claim, claim_due
from recorder.store.tables import entries
from recorder.store.transactions import writing
from tests.polling.recorders import StartUpstream, assert_nothing_left_behind, make_client, record, statuses


def test_a_result_that_cannot_be_written_does_not_affect_others(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    ids = [upstream.create(engine, settings) for _ in range(7)]
    forged = {"taskgroup_id": ids[3], "seq": 2, "kind": "watch", "at": datetime.now(UTC), "digest": "forged"}
    with writing(engine) as connection:
        connection.execute(insert(entries).values(forged))
    others = [taskgroup_id for taskgroup_id in ids if taskgroup_id != ids[3]]
    with capture_logs() as logs:

        def all_seen() -> bool:
            return all(statuses(engine, taskgroup_id) for taskgroup_id in others)

        (recorder,) = record(settings, engine, upstream, all_seen)
    errors = [line for line in logs if line["log_level"] == "error"]
    assert {line["taskgroup_id"] for line in errors} == {ids[3]}
    assert recorder.counters["errors"] == len(errors)


def test_groups_claimed_while_stopping_are_not_polled(
    engine: Engine, start_upstream: StartUpstream, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = start_upstream()
    upstream.create(engine, settings)
    claiming, stopping = threading.Event(), threading.Event()

    def slow_claim(connection: Connection, **arguments: Any) -> list[Claim]:
        claiming.set()
        assert stopping.wait(30)
        return claim_due(connection, **arguments)

    monkeypatch.setattr(worker_module, "claim_due", slow_claim)

    async def scenario() -> None:
        async with make_client(settings, upstream) as client:
            stop = asyncio.Event()
            task = asyncio.create_task(Recorder(settings, engine, client, DatabaseClock()).run(stop))
            await asyncio.to_thread(claiming.wait, 30)
            stop.set()
            # The recorder begins to stop before the claim returns.
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(0.2, stopping.set)
            async with asyncio.timeout(10):
                await task

    asyncio.run(scenario())
    assert upstream.successful_polls() == {}
    assert_nothing_left_behind(engine)


def test_a_result_older_than_its_lease_is_written_before_the_next_claim(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    taskgroup_id = upstream.create(engine, settings)
    later = timedelta()

    def now() -> datetime:
        return utc_now() + later

    async def scenario() -> Worker:
        nonlocal later
        async with make_client(settings, upstream) as client:
            second = timedelta(seconds=1)
            intervals = Intervals(second, second, second, second)
            writer = DatabaseWriter(engine)
            limiter = RateLimiter(1000, time.monotonic())
            worker = Worker(
                owner="one",
                writer=writer,
                poller=Poller(
                    PrefixSearch(client, intervals, limiter),
                    MissingCheck(writer),
                    settings.rules,
                    intervals,
                    steady=time.monotonic,
                    chance=random.Random(1),
                ),
                circuit_breaker=CircuitBreaker(intervals),
                rate_limiter=limiter,
                hold=RetryHold(),
                events=EventJob(writer, now, stall_after=None, gap_window=second),
                concurrency=10,
                most_at_once=10,
                lease=timedelta(seconds=30),
                poll_time=timedelta(seconds=12),
                last_chance=second,
                now=now,
            )
            assert await worker.claim(now()) == 1
            await worker.wait_for_polls()
            later = timedelta(seconds=60)
            assert await worker.claim(now()) == 1
            await worker.wait_for_polls()
            await worker.flush()
            return worker

    worker = asyncio.run(scenario())
    assert worker.counters["dropped"] == 0
    assert sum(status.interval.polls for status in statuses(engine, taskgroup_id)) == 2
