"""Polling one claimed group: make the request, decide what to write, and plan the next poll."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from recorder.clock import SteadyClock
from recorder.ledger.cached_answer import stale_failure
from recorder.ledger.poll_outcome import Cause, Failure, Observation, PollOutcome
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.transitions import Rules, Transition, fail, observe
from recorder.ledger.watch import Watch
from recorder.polling.bookings import Bookings, Survey
from recorder.polling.clock_steps import ClockStepCorrector
from recorder.polling.cohorts import FinishedCohorts
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.eagerness import SparePolls, eager_interval, work_of
from recorder.polling.missing_check import MissingCheck
from recorder.polling.prefix_search import PrefixSearch
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.run_rhythm import RunRhythm, plan_for_runs, rhythm_of
from recorder.polling.schedule import (
    Intervals,
    IntervalStretch,
    Plan,
    interval_of,
    plan,
    postponed,
    stretched_interval,
)
from recorder.polling.upstream_health import UpstreamHealth
from recorder.settings import Settings
from recorder.store.leases import Claim, PollResult
from recorder.upstream.client import UpstreamClient


class Poller:
    """Turns claims into results, by what the `upstream` says and whether groups are `missing`.

    `cohorts` says how long similar groups took. `steady` is a clock that is never set, `chance` the source
    of jitter.
    """

    def __init__(
        self,
        upstream: PrefixSearch,
        missing: MissingCheck,
        rules: Rules,
        intervals: Intervals,
        *,
        steady: SteadyClock,
        cohorts: FinishedCohorts | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.upstream = upstream
        self.missing = missing
        self._cohorts = cohorts
        self._rules = rules
        self._intervals = intervals
        self._steady = steady
        self._clock_steps = ClockStepCorrector()
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._rhythm: RunRhythm | None = None
        self._bookings = Bookings(intervals)
        self._spare = SparePolls()

    def follow_runs(self, now: datetime, last_response_at: datetime | None, every: timedelta | None) -> None:
        """Plan polls for the runs of a command that polls once, of which this one starts `now`.

        The other arguments are those of `rhythm_of`.
        """
        self._rhythm = rhythm_of(now, last_response_at, every, self._intervals)

    def follow_survey(self, survey: Survey) -> None:
        """Plan polls by how many are planned already, and how many there are to spare."""
        self._bookings.refresh(survey)
        self._spare.refresh(survey.spare_per_second)

    async def learn_cohorts(self) -> None:
        """Look how long groups took lately.

        Raises:
            DatabaseUnavailableError: what is known so far stays.
        """
        if self._cohorts is not None:
            await self._cohorts.look()

    async def poll(
        self, claim: Claim, *, stretch: IntervalStretch, held_until: Mapping[Cause, datetime | None]
    ) -> tuple[PollOutcome, PollResult]:
        """Poll the upstream once; return the outcome and the result to write.

        `held_until` is the time until which polls were held back, by the cause of failure that made it so.

        Raises:
            NoDescriptorError: the group was not polled, because no file descriptor was left.
        """
        outcome = await self.upstream.poll(claim.watch)
        # Not the present time, since the wall clock may have been set meanwhile.
        at = outcome.ended_at if isinstance(outcome, Failure) else outcome.received_at
        ended = (at, self._steady())
        watch = _due_after_pause(self._clock_steps.corrected(claim.watch, ended), held_until)
        if isinstance(outcome, Observation):
            outcome = stale_failure(watch, outcome) or outcome
        step = await self._step(watch, outcome)
        planned = self._planned(step.watch, outcome, at, stretch)
        if self._rhythm is not None:
            planned = plan_for_runs(planned, at, self._rhythm.at(watch, at), self._intervals)
        elif isinstance(outcome, Observation):
            planned = self._booked(planned)
        self._clock_steps.remember(planned.watch, ended)
        return outcome, PollResult(
            claim, step.entries, planned.watch, planned.next_poll_at, planned.interval_seconds
        )

    def upstream_report(self, health: UpstreamHealth, *, key_rejected: bool) -> dict[str, Any]:
        """Return what polls show of the upstream, as JSON members: `health`, what is missing, and where."""
        trouble = health.as_json()
        state = "ok" if trouble is None else "failing"
        if key_rejected or self.missing.together:
            state = "key_rejected" if key_rejected else "not_found"
        return {"state": state, "trouble": trouble, "prefix": self.upstream.taken}

    def put_off(self, claim: Claim, now: datetime, *, stretch: IntervalStretch) -> PollResult:
        """Return the result of a claim whose group was not polled: it keeps its place among those due."""
        due_at = min(claim.watch.poll_due_at or now, now)
        interval = stretched_interval(claim.watch, now, self._intervals, stretch)
        return PollResult(claim, [], claim.watch, due_at, interval.total_seconds())

    async def _step(self, watch: Watch, outcome: PollOutcome) -> Transition:
        if not isinstance(outcome, Failure):
            return observe(watch, outcome, self._rules)
        step = fail(watch, outcome, self._rules)
        # A failure that writes entries is one after which the group is gone.
        if not step.entries or await self.missing.may_be_gone():
            return step
        return fail(watch, outcome, replace(self._rules, gone_after=None))

    def _planned(self, watch: Watch, outcome: PollOutcome, now: datetime, stretch: IntervalStretch) -> Plan:
        return plan(
            watch,
            now,
            self._intervals,
            chance=self._chance.uniform(-1, 1),
            stretch=stretch,
            at_most=None if isinstance(outcome, Failure) else self._eager(watch, outcome.body, now),
            retry_after_seconds=outcome.retry_after_seconds if isinstance(outcome, Failure) else None,
        )

    def _eager(self, watch: Watch, body: ResponseBody, now: datetime) -> timedelta | None:
        """Return after which time to poll a group at the latest because its end may be near, None if any."""
        work = work_of(watch, body)
        if work is None:
            return None
        cohort = () if self._cohorts is None else self._cohorts.durations(body)
        usual = interval_of(watch, now, self._intervals)
        eager = eager_interval(work, now, self._intervals, cohort)
        if eager is None or eager >= usual or not self._spare.take(1 - eager / usual, self._steady()):
            return None
        return eager

    def _booked(self, planned: Plan) -> Plan:
        if planned.next_poll_at is None:
            return planned
        return postponed(planned, self._bookings.place(planned.next_poll_at), self._intervals)


def poller_of(
    settings: Settings,
    client: UpstreamClient,
    rate_limiter: RateLimiter,
    reader: DatabaseWriter,
    steady: SteadyClock,
) -> Poller:
    """Return the poller that the settings ask for."""
    intervals = Intervals.of(settings)
    upstream = PrefixSearch(client, intervals, rate_limiter, steady)
    missing, cohorts = MissingCheck(reader), FinishedCohorts(reader, settings.cohort_key)
    return Poller(upstream, missing, settings.rules, intervals, steady=steady, cohorts=cohorts)


def _due_after_pause(watch: Watch, held_until: Mapping[Cause, datetime | None]) -> Watch:
    """Move the due time of a watch to the end of the pause that its last failure was part of.

    A rate limit is about all groups, so it is a pause for one that has not failed, too.
    """
    due_at, failures = watch.poll_due_at, watch.failures.tallies
    until = held_until.get(failures[-1].cause if failures else Cause.RATE_LIMITED)
    if due_at is None or until is None:
        return watch
    return replace(watch, poll_due_at=max(due_at, until))
