"""The recorder as a service: a few jobs on a schedule, a heartbeat, and a bounded end."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import Engine

from recorder.clock import Clock, SteadyClock, steady_seconds
from recorder.polling.checkpoint_job import CHECK_SECONDS, CheckpointJob
from recorder.polling.circuit_breaker import CircuitBreaker
from recorder.polling.clock_steps import ClockWatch
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.heartbeat import HeartbeatWriter
from recorder.polling.poller import Poller
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.schedule import Intervals, longest_wait
from recorder.polling.upstream_health import Counters
from recorder.polling.worker import Worker
from recorder.settings import Settings
from recorder.store.groups import make_due
from recorder.store.heartbeats import HEARTBEAT_SECONDS, sign_off
from recorder.store.transactions import DatabaseUnavailableError
from recorder.upstream.client import UpstreamClient

CLAIM_SECONDS = 0.2
FLUSH_SECONDS = 0.2
CLOCK_SECONDS = 1.0
"""How often the wall clock is looked at."""
LAST_POLLS_SECONDS = 4.0
"""How long polls under way may go on once the recorder is told to stop."""
END_SECONDS = 8.0
"""How long polls under way and the last write may take together."""

_log = structlog.get_logger("recorder")


class Recorder:
    """Records the watched groups of one database."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        client: UpstreamClient,
        now: Clock,
        steady: SteadyClock = steady_seconds,
    ) -> None:
        pace = Intervals(
            poll_interval=timedelta(seconds=settings.poll_interval),
            settled_interval=timedelta(seconds=settings.settled_interval),
            gap_window=settings.rules.gap_window,
        )
        chance = random.Random()  # noqa: S311 (jitter, no secret)
        self._id = uuid.uuid4().hex
        self._now = now
        self._pace = pace
        self._lease = timedelta(seconds=settings.lease)
        self._step_watch = ClockWatch(now, steady)
        self._budget = RateLimiter(settings.rate, time.monotonic())
        self._gate = CircuitBreaker(pace)
        self._pulse = HeartbeatWriter(self._id, rate=settings.rate, pace=pace, now=now, steady=steady)
        self._writer = DatabaseWriter(engine)
        self._notary = None
        if settings.checkpoint_dir is not None:
            interval = timedelta(seconds=settings.checkpoint_interval)
            self._notary = CheckpointJob(engine, settings.checkpoint_dir, interval, now)
        self._worker = Worker(
            owner=self._id,
            writer=self._writer,
            poller=Poller(client, settings.rules, pace, steady, chance),
            budget=self._budget,
            gate=self._gate,
            concurrency=settings.concurrency,
            lease=self._lease,
            now=now,
        )

    @property
    def counters(self) -> Counters:
        return self._worker.counters

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set; then let polls under way end, write what they brought and sign off."""
        scheduler = self._scheduler()
        await _unless_database_away(self._beat)
        await _unless_database_away(self._mend_plans)
        scheduler.start()
        _log.info("recording", recorder=self._id)
        watchdog = asyncio.create_task(self._watch_clock(scheduler))
        try:
            await stop.wait()
        finally:
            watchdog.cancel()
            scheduler.remove_all_jobs()
            await self._end()
            scheduler.shutdown(wait=False)

    async def run_once(self, stop: asyncio.Event) -> None:
        """Poll every group that is due now, once, or as many as are polled when `stop` is set.

        Raises:
            DatabaseUnavailableError: what could not be written is lost.
        """
        due_until = self._now()
        try:
            await self._beat()
            await self._mend_plans()
            while not stop.is_set() and await self._worker.claim(due_until):
                await _first_of(self._worker.wait_for_polls(), stop.wait())
                await self._worker.flush()
                await _first_of(asyncio.sleep(self._budget.seconds_until_one()), stop.wait())
        finally:
            await self._end()

    @property
    def unwritten(self) -> int:
        """How many results could not be written in the end, and are lost."""
        return self._worker.unwritten

    @property
    def stuck(self) -> bool:
        """Whether the last write has not come to an end: its thread would hold the process up."""
        return self._writer.stuck

    def _scheduler(self) -> AsyncIOScheduler:
        scheduler = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
        )
        jobs: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self._claim, CLAIM_SECONDS),
            (self._worker.flush, FLUSH_SECONDS),
            (self._beat, HEARTBEAT_SECONDS),
        ]
        if self._notary is not None:
            jobs.append((self._notary.attest, CHECK_SECONDS))
        for job, seconds in jobs:
            scheduler.add_job(_unless_database_away, "interval", args=[job], seconds=seconds)
        scheduler.add_listener(self._job_failed, EVENT_JOB_ERROR)
        return scheduler

    def _job_failed(self, event: JobExecutionEvent) -> None:
        if isinstance(event.exception, asyncio.CancelledError):
            return
        self.counters.error()
        _log.error("a job failed by an error of the recorder", exc_info=event.exception)

    async def _claim(self) -> None:
        await self._worker.claim(self._now())

    async def _beat(self) -> None:
        news = self._worker.trouble.news()
        if news:
            _log.warning("polls fail", **news)
        elif news is not None:
            _log.info("polls succeed again")
        counters, upstream = self.counters.as_dict(), self._upstream()
        await self._writer.write(partial(self._pulse.beat, counters=counters, upstream=upstream))
        self._pulse.tell()
        self._budget.share_among(self._pulse.load.recorders)
        self._worker.stretch = self._pulse.load.stretch

    def _upstream(self) -> dict[str, Any]:
        trouble = self._worker.trouble.members()
        state = "key_rejected" if self._gate.closed else "ok" if trouble is None else "failing"
        return {"state": state, "trouble": trouble}

    async def _watch_clock(self, scheduler: AsyncIOScheduler) -> None:
        """Wake the jobs when the wall clock is set: the scheduler waits for one that was set back."""
        mend_until = time.monotonic()
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            step = self._step_watch.step()
            if step is not None:
                _log.warning("the clock was set", seconds=round(step.total_seconds(), 3))
                for job in scheduler.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))
                # What was under way was planned by the old clock, and is written within its lease.
                mend_until = time.monotonic() + self._lease.total_seconds()
            if time.monotonic() < mend_until:
                await _unless_database_away(self._mend_plans)

    async def _mend_plans(self) -> None:
        """Let groups be due whose next poll was planned by a clock that has been set back since."""
        now = self._now()
        latest = now + longest_wait(self._pace, self._pulse.load.stretch)
        groups = await self._writer.write(partial(make_due, now=now, latest=latest))
        if groups:
            _log.warning("polls were planned further off than any wait: they are due now", groups=groups)

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._worker.close(LAST_POLLS_SECONDS)
                await self._worker.flush()
                await self._worker.give_back()
                await self._writer.write(lambda connection: sign_off(connection, [self._id]))
        except DatabaseUnavailableError:
            _log.error("ended without its database", unwritten=self.unwritten)
        except TimeoutError:
            _log.error("ended while its database kept it waiting", unwritten=self.unwritten)
        finally:
            self._writer.close()
        _log.info("ended", **self.counters.as_dict())


async def _first_of(*waits: Coroutine[object, object, object]) -> None:
    """Wait until one of several waits is over, and give the others up."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    _, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()


async def _unless_database_away(job: Callable[[], Awaitable[None]]) -> None:
    """The writer has said already that the database is away; the next run tries again."""
    try:
        await job()
    except DatabaseUnavailableError:
        return
