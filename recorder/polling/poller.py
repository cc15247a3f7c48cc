"""Polling one claimed group: make the request, decide what to write, and plan the next poll."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from recorder.clock import SteadyClock
from recorder.ledger.cached_answer import stale_failure
from recorder.ledger.poll_outcome import Cause, Failure, Observation, PollOutcome
from recorder.ledger.transitions import Rules, fail, observe
from recorder.ledger.watch import Watch
from recorder.polling.clock_steps import ClockStepCorrector
from recorder.polling.run_rhythm import RunRhythm, plan_for_runs, rhythm_of
from recorder.polling.schedule import Intervals, interval_of, plan
from recorder.store.leases import Claim, PollResult
from recorder.upstream.client import UpstreamClient


class Poller:
    """Turns claims into results. `steady` is a clock that is never set, `chance` the source of jitter."""

    def __init__(
        self,
        client: UpstreamClient,
        rules: Rules,
        intervals: Intervals,
        steady: SteadyClock,
        chance: random.Random,
    ) -> None:
        self._client = client
        self._rules = rules
        self._intervals = intervals
        self._steady = steady
        self._clock_steps = ClockStepCorrector()
        self._chance = chance
        self._rhythm: RunRhythm | None = None

    def follow_runs(self, now: datetime, last_response_at: datetime | None, every: timedelta | None) -> None:
        """Plan polls for the runs of a command that polls once, of which this one starts `now`.

        The other arguments are those of `rhythm_of`.
        """
        self._rhythm = rhythm_of(now, last_response_at, every, self._intervals)

    async def poll(
        self, claim: Claim, *, stretch: float, held_until: Mapping[Cause, datetime | None]
    ) -> tuple[PollOutcome, PollResult]:
        """Poll the upstream once; return the outcome and the result to write.

        `held_until` is the time until which polls were held back, by the cause of failure that made it so.

        Raises:
            NoDescriptorError: the group was not polled, because no file descriptor was left.
        """
        outcome = await self._client.poll(claim.watch.taskgroup_id)
        # Not the present time, since the wall clock may have been set meanwhile.
        at = outcome.ended_at if isinstance(outcome, Failure) else outcome.received_at
        ended = (at, self._steady())
        watch = _due_after_pause(self._clock_steps.corrected(claim.watch, ended), held_until)
        if isinstance(outcome, Observation):
            outcome = stale_failure(watch, outcome) or outcome
        result = self._result(claim, watch, outcome, at, stretch)
        self._clock_steps.remember(result.watch, ended)
        return outcome, result

    def put_off(self, claim: Claim, now: datetime, *, stretch: float) -> PollResult:
        """Return the result of a claim whose group was not polled: it keeps its place among those due."""
        due_at = min(claim.watch.poll_due_at or now, now)
        interval = interval_of(claim.watch, now, self._intervals) * stretch
        return PollResult(claim, [], claim.watch, due_at, interval.total_seconds())

    def _result(
        self, claim: Claim, watch: Watch, outcome: PollOutcome, now: datetime, stretch: float
    ) -> PollResult:
        retry_after_seconds = None
        if isinstance(outcome, Failure):
            step = fail(watch, outcome, self._rules)
            retry_after_seconds = outcome.retry_after_seconds
        else:
            step = observe(watch, outcome, self._rules)
        planned = plan(
            step.watch,
            now,
            self._intervals,
            chance=self._chance.uniform(-1, 1),
            stretch=stretch,
            retry_after_seconds=retry_after_seconds,
        )
        if self._rhythm is not None:
            planned = plan_for_runs(planned, now, self._rhythm.at(watch, now), self._intervals)
        return PollResult(claim, step.entries, planned.watch, planned.next_poll_at, planned.interval_seconds)


def _due_after_pause(watch: Watch, held_until: Mapping[Cause, datetime | None]) -> Watch:
    """Move the due time of a watch to the end of the pause that its last failure was part of.

    A rate limit is about all groups, so it is a pause for one that has not failed, too.
    """
    due_at, failures = watch.poll_due_at, watch.failures.tallies
    until = held_until.get(failures[-1].cause if failures else Cause.RATE_LIMITED)
    if due_at is None or until is None:
        return watch
    return replace(watch, poll_due_at=max(due_at, until))
