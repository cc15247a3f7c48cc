"""One claimed group: poll it, decide what to write, plan the next poll."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime

from recorder.clock import SteadyClock
from recorder.ledger.poll_outcome import Cause, Failure, PollOutcome
from recorder.ledger.transitions import Rules, fail, observe
from recorder.ledger.watch import Watch
from recorder.polling.clock_steps import ClockSight
from recorder.polling.schedule import Intervals, plan
from recorder.store.leases import Claim, PollResult
from recorder.upstream.client import UpstreamClient


class Poller:
    """Turns claims into what is to be written. `chance` is the source of jitter, `steady` a clock that is
    never set."""

    def __init__(
        self,
        client: UpstreamClient,
        rules: Rules,
        pace: Intervals,
        steady: SteadyClock,
        chance: random.Random,
    ) -> None:
        self._client = client
        self._rules = rules
        self._pace = pace
        self._steady = steady
        self._sight = ClockSight()
        self._chance = chance

    async def poll(
        self, claim: Claim, *, stretch: float, held_until: datetime | None
    ) -> tuple[PollOutcome, PollResult]:
        """Ask the upstream once; return the outcome and what it leads to.

        `held_until` is until when the recorder held polls back because the key was rejected.
        """
        outcome = await self._client.poll(claim.watch.taskgroup_id)
        # The outcome's own time: the wall clock may have been set since.
        at = outcome.ended_at if isinstance(outcome, Failure) else outcome.observed_at
        ended = (at, self._steady())
        watch = _due_when_let(self._sight.corrected(claim.watch, ended), held_until)
        finished = self._finished(claim, watch, outcome, at, stretch)
        self._sight.planned(finished.watch, ended)
        return outcome, finished

    def _finished(
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
            self._pace,
            chance=self._chance.uniform(-1, 1),
            stretch=stretch,
            retry_after_seconds=retry_after_seconds,
        )
        return PollResult(claim, step.entries, planned.watch, planned.next_poll_at, planned.interval_seconds)


def _due_when_let(watch: Watch, held_until: datetime | None) -> Watch:
    """A poll that failed by the key was not due again before the key was tried again."""
    due_at, failures = watch.poll_due_at, watch.failures.tallies
    if due_at is None or held_until is None or not failures or failures[-1].cause is not Cause.UNAUTHORIZED:
        return watch
    return replace(watch, poll_due_at=max(due_at, held_until))
