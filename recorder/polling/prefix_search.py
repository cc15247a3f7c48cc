"""Polling under the prefix where the upstream answers: `/v1` or `/v1beta`."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import structlog

from recorder.clock import SteadyClock
from recorder.ledger.poll_outcome import Cause, Failure, Observation, PollOutcome
from recorder.ledger.watch import Watch, WatchState
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.schedule import Intervals, probe_delay
from recorder.upstream.client import UpstreamClient
from recorder.upstream.prefixes import other_prefix

DOUBTFUL_MISSES = 3
"""After this many groups in a row that were seen before and are not found, the prefix is doubted."""

_log = structlog.get_logger("recorder")


class PrefixSearch:
    """Polls groups, and asks for one under the other prefix while those that were seen before are not found,
    or any, as long as none was found since the start.

    It does so with one poll at a time, ever more rarely. If the other prefix answers, all polls take it.
    """

    def __init__(
        self,
        client: UpstreamClient,
        intervals: Intervals,
        rate_limiter: RateLimiter,
        steady: SteadyClock = time.monotonic,
    ) -> None:
        self._client = client
        self._intervals = intervals
        self._rate_limiter = rate_limiter
        self._steady = steady
        self._prefix_set = client.prefix
        # As long as nothing was found under a prefix, one miss is enough to doubt it.
        self._misses = DOUBTFUL_MISSES - 1
        self._any_found = False
        self._tries = 0
        self._doubted_at = self._try_at = 0.0
        self._trying = asyncio.Lock()

    @property
    def taken(self) -> str | None:
        """The prefix that polls take in place of the one that is set, None if they do not."""
        return None if self._client.prefix == self._prefix_set else self._client.prefix

    async def poll(self, watch: Watch) -> PollOutcome:
        """Poll a group; the outcome is that of the last request, if there is more than one.

        Raises:
            NoDescriptorError: the group was not polled, because no file descriptor was left.
        """
        prefix = self._client.prefix
        outcome = await self._client.poll(watch.taskgroup_id)
        if isinstance(outcome, Observation):
            self._any_found = True
            self._misses = self._tries = 0
        elif self._is_missed(watch, outcome):
            # A miss under a prefix that was left meanwhile says nothing about the present one.
            left_meanwhile = self._client.prefix != prefix
            self._misses += not left_meanwhile
            if left_meanwhile or self._misses >= DOUBTFUL_MISSES:
                return await self._poll_elsewhere(watch.taskgroup_id, prefix) or outcome
        return outcome

    async def _poll_elsewhere(self, taskgroup_id: str, prefix: str) -> PollOutcome | None:
        """Return the outcome of a poll under another prefix than `prefix`, None if that is not worthwhile."""
        async with self._trying:
            if self._client.prefix == prefix:
                return await self._try(taskgroup_id, other_prefix(prefix))
        # A poll that ended meanwhile was answered there.
        self._rate_limiter.spend(1)
        return await self._client.poll(taskgroup_id)

    async def _try(self, taskgroup_id: str, other: str | None) -> Observation | None:
        now = self._steady()
        if other is None or (self._tries and now < self._try_at):
            return None
        if not self._tries:
            self._doubted_at = now
        held = timedelta(seconds=now - self._doubted_at)
        self._try_at = now + probe_delay(self._tries, held, self._intervals).total_seconds()
        self._tries += 1
        self._rate_limiter.spend(1)
        outcome = await self._client.poll_under(other, taskgroup_id)
        if not isinstance(outcome, Observation) or outcome.body.value.get("taskgroup_id") != taskgroup_id:
            return None
        self._take(other)
        return outcome

    def _take(self, prefix: str) -> None:
        if prefix == self._prefix_set:
            _log.warning(
                "groups are found under RECORDER_UPSTREAM_PREFIX again, which all polls take",
                prefix=prefix,
                instead_of=self._client.prefix,
            )
        else:
            _log.error(
                "groups are found under another prefix, which all polls take from now on: "
                "set RECORDER_UPSTREAM_PREFIX to it",
                prefix=prefix,
                instead_of=self._client.prefix,
            )
        self._client.prefix = prefix
        self._any_found = True
        self._misses = self._tries = 0

    def _is_missed(self, watch: Watch, outcome: Failure) -> bool:
        # Once others were found, one that was never seen is rather a wrong id than a wrong prefix.
        expected = watch.in_force is not None or not self._any_found
        return expected and watch.state is WatchState.WATCHING and outcome.cause is Cause.NOT_FOUND
