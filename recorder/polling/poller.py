"""One claimed group: poll it, decide what to write, plan the next poll."""

from __future__ import annotations

import random
from datetime import datetime

from recorder.ledger.decision import Rules, fail, observe
from recorder.ledger.outcome import Failure, Outcome
from recorder.polling.schedule import Pace, plan
from recorder.store.claims import Claim, Finished
from recorder.upstream.client import UpstreamClient


class Poller:
    """Turns claims into what is to be written. `chance` is the source of jitter."""

    def __init__(self, client: UpstreamClient, rules: Rules, pace: Pace, chance: random.Random) -> None:
        self._client = client
        self._rules = rules
        self._pace = pace
        self._chance = chance

    async def poll(self, claim: Claim) -> tuple[Outcome, Finished]:
        """Ask the upstream once; return the outcome and what it leads to."""
        outcome = await self._client.poll(claim.watch.taskgroup_id)
        return outcome, self._finished(claim, outcome)

    def _finished(self, claim: Claim, outcome: Outcome) -> Finished:
        retry_after_seconds = None
        if isinstance(outcome, Failure):
            step = fail(claim.watch, outcome, self._rules)
            now: datetime = outcome.ended_at
            retry_after_seconds = outcome.retry_after_seconds
        else:
            step = observe(claim.watch, outcome, self._rules)
            now = outcome.observed_at
        chance = self._chance.uniform(-1, 1)
        planned = plan(step.watch, now, self._pace, chance=chance, retry_after_seconds=retry_after_seconds)
        return Finished(claim, step.entries, planned.watch, planned.next_poll_at, planned.interval_seconds)
