"""The recorder as a service: scheduled jobs, a heartbeat, and a shutdown within a time limit."""

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
"""How often the wall clock is checked for steps."""
LAST_POLLS_SECONDS = 4.0
"""How long running polls may continue once the recorder is asked to stop."""
SHUTDOWN_SECONDS = 8.0
"""How long running polls and the last write may take in total."""

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
        intervals = Intervals(
            poll_interval=timedelta(seconds=settings.poll_interval),
            settled_interval=timedelta(seconds=settings.settled_interval),
            gap_window=settings.rules.gap_window,
        )
        chance = random.Random()  # noqa: S311 - jitter, not secrecy
        self._id = uuid.uuid4().hex
        self._now = now
        self._intervals = intervals
        self._lease = timedelta(seconds=settings.lease)
        self._clock_watch = ClockWatch(now, steady)
        self._rate_limiter = RateLimiter(settings.rate, time.monotonic())
        self._circuit_breaker = CircuitBreaker(intervals)
        self._heartbeat = HeartbeatWriter(
            self._id, rate=settings.rate, intervals=intervals, now=now, steady=steady
        )
        self._writer = DatabaseWriter(engine)
        self._checkpoint_job = None
        if settings.checkpoint_dir is not None:
            interval = timedelta(seconds=settings.checkpoint_interval)
            self._checkpoint_job = CheckpointJob(engine, settings.checkpoint_dir, interval, now)
        self._worker = Worker(
            owner=self._id,
            writer=self._writer,
            poller=Poller(client, settings.rules, intervals, steady, chance),
            rate_limiter=self._rate_limiter,
            circuit_breaker=self._circuit_breaker,
            concurrency=settings.concurrency,
            lease=self._lease,
            now=now,
        )

    @property
    def counters(self) -> Counters:
        return self._worker.counters

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set, then let running polls finish, write their results and sign off."""
        scheduler = self._scheduler()
        await _retry_if_unavailable(self._beat)
        await _retry_if_unavailable(self._reschedule_distant_polls)
        scheduler.start()
        _log.info("recording", recorder=self._id)
        watchdog = asyncio.create_task(self._watch_clock(scheduler))
        try:
            await stop.wait()
        finally:
            watchdog.cancel()
            scheduler.remove_all_jobs()
            await self._shut_down()
            scheduler.shutdown(wait=False)

    async def run_once(self, stop: asyncio.Event) -> None:
        """Poll every group that is due now once, or fewer if `stop` is set meanwhile.

        Raises:
            DatabaseUnavailableError: results that could not be written are lost.
        """
        due_until = self._now()
        try:
            await self._beat()
            await self._reschedule_distant_polls()
            while not stop.is_set() and await self._worker.claim(due_until):
                await _first_of(self._worker.wait_for_polls(), stop.wait())
                await self._worker.flush()
                await _first_of(asyncio.sleep(self._rate_limiter.seconds_until_one()), stop.wait())
        finally:
            await self._shut_down()

    @property
    def unwritten(self) -> int:
        """The number of results that could not be written by the end and are lost."""
        return self._worker.unwritten

    @property
    def stuck(self) -> bool:
        """Whether the last write has not returned; its thread would keep the process from exiting."""
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
        if self._checkpoint_job is not None:
            jobs.append((self._checkpoint_job.run, CHECK_SECONDS))
        for job, seconds in jobs:
            scheduler.add_job(_retry_if_unavailable, "interval", args=[job], seconds=seconds)
        scheduler.add_listener(self._job_failed, EVENT_JOB_ERROR)
        return scheduler

    def _job_failed(self, event: JobExecutionEvent) -> None:
        if isinstance(event.exception, asyncio.CancelledError):
            return
        self.counters.error()
        _log.error("a job failed because of a bug in the recorder", exc_info=event.exception)

    async def _claim(self) -> None:
        await self._worker.claim(self._now())

    async def _beat(self) -> None:
        news = self._worker.upstream_health.news()
        if news:
            _log.warning("polls fail", **news)
        elif news is not None:
            _log.info("polls succeed again")
        counters, upstream = self.counters.as_dict(), self._upstream()
        await self._writer.write(partial(self._heartbeat.beat, counters=counters, upstream=upstream))
        self._heartbeat.log_load()
        self._rate_limiter.share_among(self._heartbeat.load.recorders)
        self._worker.stretch = self._heartbeat.load.stretch

    def _upstream(self) -> dict[str, Any]:
        trouble = self._worker.upstream_health.as_json()
        state = "key_rejected" if self._circuit_breaker.tripped else "ok" if trouble is None else "failing"
        return {"state": state, "trouble": trouble}

    async def _watch_clock(self, scheduler: AsyncIOScheduler) -> None:
        """Wake the jobs when the wall clock is set; set back, it would stall the scheduler."""
        reschedule_until = time.monotonic()
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            step = self._clock_watch.step()
            if step is not None:
                _log.warning("the clock was set", seconds=round(step.total_seconds(), 3))
                for job in scheduler.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))
                # Running polls may still write plans made by the old clock, until their leases end.
                reschedule_until = time.monotonic() + self._lease.total_seconds()
            if time.monotonic() < reschedule_until:
                await _retry_if_unavailable(self._reschedule_distant_polls)

    async def _reschedule_distant_polls(self) -> None:
        """Make groups due whose next poll was planned by a clock that has since been set back."""
        now = self._now()
        latest = now + longest_wait(self._intervals, self._heartbeat.load.stretch)
        groups = await self._writer.write(partial(make_due, now=now, latest=latest))
        if groups:
            _log.warning("polls were planned too far ahead and are due now", groups=groups)

    async def _shut_down(self) -> None:
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await self._worker.close(LAST_POLLS_SECONDS)
                await self._worker.flush()
                await self._worker.release_claims()
                await self._writer.write(lambda connection: sign_off(connection, [self._id]))
        except DatabaseUnavailableError:
            _log.error("ended while the database was unavailable", unwritten=self.unwritten)
        except TimeoutError:
            _log.error("ended before the database responded", unwritten=self.unwritten)
        finally:
            self._writer.close()
        _log.info("ended", **self.counters.as_dict())


async def _first_of(*waits: Coroutine[object, object, object]) -> None:
    """Wait until one of several awaitables is done, and cancel the others."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    _, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()


async def _retry_if_unavailable(job: Callable[[], Awaitable[None]]) -> None:
    """Run a job; if the database is unavailable, which the writer has logged, leave it to the next run."""
    try:
        await job()
    except DatabaseUnavailableError:
        return
