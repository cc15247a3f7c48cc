"""The recorder as a service: scheduled jobs, heartbeats, and a shutdown within a time limit."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import Engine

from recorder.clock import SteadyClock, steady_seconds
from recorder.database_url import database_key
from recorder.ledger.poll_outcome import Cause
from recorder.polling.capacity import CapacityMeter
from recorder.polling.circuit_breaker import CircuitBreaker
from recorder.polling.clock_steps import StepWatch
from recorder.polling.cohorts import COHORT_SECONDS
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.enrol_job import enrol_job_of
from recorder.polling.event_job import CHECK_CLOCK_SECONDS, PUBLISH_SECONDS, event_job_of
from recorder.polling.heartbeat import HeartbeatWriter
from recorder.polling.jobs import first_of, retry_if_unavailable
from recorder.polling.plan_keeper import PlanKeeper
from recorder.polling.poller import poller_of
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.retry_hold import RetryHold
from recorder.polling.schedule import EARLY_RETRY_SHARE, Intervals
from recorder.polling.self_server import SelfReport
from recorder.polling.side_jobs import side_jobs_of
from recorder.polling.upstream_health import Counters, is_about_groups
from recorder.polling.usability import wait_until_unusable
from recorder.polling.worker import Worker
from recorder.polling.write_health import WriteHealth, WriteKind
from recorder.settings import Settings
from recorder.status_file import StatusFile
from recorder.store.database_clock import DatabaseClock
from recorder.store.engine import display_url
from recorder.store.heartbeats import HEARTBEAT_SECONDS, sign_off
from recorder.store.transactions import DatabaseUnavailableError
from recorder.store.workload import last_response_at
from recorder.upstream.client import UpstreamClient

CLAIM_SECONDS = FLUSH_SECONDS = 0.2
CLOCK_SECONDS = 1.0
"""How often the clocks are checked for steps."""
LAST_POLLS_SECONDS = 4.0
"""How long running polls may continue once the recorder is asked to stop."""
SHUTDOWN_SECONDS = 8.0
"""How long running polls and the last writes may take in total."""

_log = structlog.get_logger("recorder")


class Recorder:
    """Records the watched groups of one database.

    `most_at_once` is how many polls may run at once while answers are slow; None for no more than usual.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        client: UpstreamClient,
        clock: DatabaseClock,
        steady: SteadyClock = steady_seconds,
        *,
        most_at_once: int | None = None,
    ) -> None:
        intervals = Intervals.of(settings)
        self.unusable: str | None = None
        self._database = engine.url
        self._id = uuid.uuid4().hex
        self._clock, self._steady = clock, steady
        self._lease = timedelta(seconds=settings.lease)
        self._rate_limiter = RateLimiter(settings.rate, time.monotonic())
        self._capacity = CapacityMeter(settings.concurrency, most_at_once or settings.concurrency)
        self._circuit_breaker = CircuitBreaker(intervals)
        self._hold = RetryHold()
        self._heartbeat = HeartbeatWriter(
            self._id, rate=settings.rate, intervals=intervals, clock=clock, hold=self._hold, steady=steady
        )
        health = WriteHealth(clock)
        self._writer = DatabaseWriter(engine, health)
        # Other recorders take this one for dead if its heartbeats have to wait for anything.
        self._heartbeats = DatabaseWriter(engine, health)
        self._events = event_job_of(settings, self._writer, clock)
        self._plans = PlanKeeper(self._writer, self._heartbeat, intervals, clock)
        self._enrolments = enrol_job_of(settings, self._writer, clock)
        self._side_jobs = side_jobs_of(settings, engine, clock, self._id, self._enrolments)
        self._poller = poller_of(settings, client, self._rate_limiter, self._heartbeats, steady)
        self._worker = Worker(
            owner=self._id,
            writer=self._writer,
            poller=self._poller,
            rate_limiter=self._rate_limiter,
            circuit_breaker=self._circuit_breaker,
            hold=self._hold,
            events=self._events,
            concurrency=settings.concurrency,
            most_at_once=self._capacity.most_at_once,
            lease=self._lease,
            poll_time=timedelta(seconds=settings.least_lease),
            last_chance=intervals.gap_window / EARLY_RETRY_SHARE,
            now=clock,
        )
        self._status_file = StatusFile(database_key(settings.database_url), display_url(engine.url))
        self._ending, self._unwritten = False, 0

    @property
    def counters(self) -> Counters:
        return self._worker.counters

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set, then let running polls finish, write their results and sign off.

        It also stops when a file of the database was replaced, or its schema is another; see `unusable`.
        """
        scheduler = self._scheduler()
        await retry_if_unavailable(self._beat)
        await retry_if_unavailable(self._plans.run)
        scheduler.start()
        _log.info("recording", recorder=self._id)
        watchdog = asyncio.create_task(self._watch_clocks(scheduler))
        try:
            await first_of(stop.wait(), self._wait_until_unusable())
        finally:
            watchdog.cancel()
            scheduler.remove_all_jobs()
            await self._shut_down()
            scheduler.shutdown(wait=False)

    async def run_once(self, stop: asyncio.Event, every: timedelta | None = None) -> None:
        """Poll every group that is due now once, or fewer if `stop` is set meanwhile.

        `every` is how often this is done; without it, that is seen from what was recorded.

        Raises:
            DatabaseUnavailableError: results that could not be written are lost.
        """
        try:
            await self._beat()
            await self._plans.run()
            if self._enrolments is not None:
                await self._enrolments.run()
            due_until = self._clock()
            self._poller.follow_runs(due_until, await self._writer.read(last_response_at), every)
            while not stop.is_set() and (await self._worker.claim(due_until) or self._worker.waiting):
                await first_of(self._worker.wait_for_polls(), stop.wait())
                await self._worker.flush()
                await first_of(asyncio.sleep(self._rate_limiter.seconds_until_one()), stop.wait())
            await self._events.check()
        finally:
            await self._shut_down()

    def reporting_to(self, report: SelfReport) -> AbstractAsyncContextManager[None]:
        """Have `report` follow this recorder during the block."""
        return report.following(self._worker, self._writer.health)

    @property
    def unwritten(self) -> int:
        """The number of results that could not be written by the end and are lost."""
        return self._unwritten

    @property
    def stuck(self) -> bool:
        """Whether work with the database has not ended; its thread would keep the process from exiting."""
        return any(one.stuck for one in (self._writer, self._heartbeats, *self._side_jobs))

    async def _wait_until_unusable(self) -> None:
        self.unusable = await wait_until_unusable(self._database, self._heartbeats)

    def _scheduler(self) -> AsyncIOScheduler:
        scheduler = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
        )
        jobs: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self._claim, CLAIM_SECONDS),
            (self._worker.flush, FLUSH_SECONDS),
            (self._beat, HEARTBEAT_SECONDS),
            (self._plans.run, HEARTBEAT_SECONDS),
            (self._events.publish, PUBLISH_SECONDS),
            (self._events.check, CHECK_CLOCK_SECONDS),
            (self._poller.learn_cohorts, COHORT_SECONDS),
        ]
        jobs += [(job.run, job.check_seconds) for job in self._side_jobs]
        for job, seconds in jobs:
            scheduler.add_job(retry_if_unavailable, "interval", args=[job], seconds=seconds)
        scheduler.add_listener(self._job_failed, EVENT_JOB_ERROR)
        return scheduler

    def _job_failed(self, event: JobExecutionEvent) -> None:
        if isinstance(event.exception, asyncio.CancelledError):
            return
        self.counters.error()
        _log.error("a job failed because of a bug in the recorder", exc_info=event.exception)

    async def _claim(self) -> None:
        if self._hold.news():
            # The other recorders must wait as well, and not only from the next heartbeat on.
            await self._beat()
        # Until the database's clock is known, a claim could be one that no other recorder understands.
        if self._clock.ready:
            await self._worker.claim(self._clock())

    async def _beat(self) -> None:
        """Send a heartbeat; nothing that another recorder may have locked is written with it."""
        if self._ending:
            return
        news = self._worker.upstream_health.news()
        if news and is_about_groups(news):
            _log.warning("groups are not found", **news)
        elif news:
            _log.warning("polls are failing", **news)
        elif news is not None:
            _log.info("polls succeed again")
        self._measure_capacity()
        beat = partial(self._heartbeat.beat, counters=self.counters.as_dict(), report=self._report())
        sent = False
        try:
            self._plans.departed(await self._heartbeats.write(beat, WriteKind.HEARTBEAT))
            sent = True
        finally:
            self._status_file.write(self._writer.health.as_json(), heartbeat=sent)
        self._rate_limiter.share_among(len(self._heartbeat.alive))
        capacity = self._capacity.capacity(self._rate_limiter.share)
        survey = await self._heartbeats.read(partial(self._heartbeat.survey, capacity=capacity))
        self._poller.follow_survey(survey)
        if self._worker.upstream_health.has_met(Cause.NOT_FOUND) or self._poller.missing.together:
            await self._poller.missing.look()
        self._heartbeat.log_load()
        self._worker.stretch = self._heartbeat.load.stretch

    def _measure_capacity(self) -> None:
        period = self._worker.load.period(time.monotonic(), time.process_time(), self._worker.in_flight_since)
        self._capacity.update(period, self._rate_limiter.share, stretched=self._worker.stretch.factor > 1)
        self._worker.gate.places = self._capacity.places

    def _report(self) -> dict[str, Any]:
        return {
            "upstream": self._poller.upstream_report(
                self._worker.upstream_health, key_rejected=self._circuit_breaker.tripped
            ),
            "polling": {
                **self._worker.load.as_json(self._capacity.machine),
                **self._capacity.as_json(self._rate_limiter.share),
            },
            "writing": self._writer.health.as_json(),
        }

    async def _watch_clocks(self, scheduler: AsyncIOScheduler) -> None:
        """Wake the jobs when this machine's clock is set; set back, it would stall the scheduler."""
        steps = StepWatch(self._clock, self._steady)
        reschedule_until = time.monotonic()
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            machine_set, shared_set = steps.look()
            if machine_set:
                for job in scheduler.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))
            if shared_set:
                # Running polls may still write plans made by the old clock, until their leases end.
                reschedule_until = time.monotonic() + self._lease.total_seconds()
            if time.monotonic() < reschedule_until:
                await retry_if_unavailable(self._plans.reschedule)

    async def _shut_down(self) -> None:
        self._ending = True
        ended: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await self._worker.close(LAST_POLLS_SECONDS)
                await self._worker.flush()
                await self._worker.release_claims()
                await self._events.publish()
                sign_off_mine = partial(sign_off, recorder_ids=[self._id])
                await self._heartbeats.write(sign_off_mine, WriteKind.HEARTBEAT)
        except DatabaseUnavailableError:
            ended = ("ended while the database was unavailable",)
        except TimeoutError:
            ended = ("ended before the database responded",)
        finally:
            # No poll may add a result that is neither written nor counted.
            await self._worker.wait_for_polls(0)
            self._unwritten = self._worker.unwritten
            self._status_file.remove()
            for closing in (self._writer, self._heartbeats, *self._side_jobs):
                closing.close()
        for event in ended:
            _log.error(event, unwritten=self._unwritten)
        _log.info("ended", **self.counters.as_dict())
