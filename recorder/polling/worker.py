"""The worker: claims groups that are due, polls them, and writes the results."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from recorder.clock import Clock
from recorder.ledger.poll_outcome import Cause, Failure, PollOutcome
from recorder.ledger.watch import WatchState
from recorder.polling.circuit_breaker import CircuitBreaker
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.descriptor_limit import DescriptorLimit
from recorder.polling.event_job import EventJob
from recorder.polling.poll_load import PollLoad
from recorder.polling.poller import Poller
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.result_writer import ResultWriter
from recorder.polling.retry_hold import RetryHold
from recorder.polling.schedule import NO_STRETCH
from recorder.polling.start_gate import StartGate
from recorder.polling.upstream_health import Counters, UpstreamHealth
from recorder.polling.write_health import WriteKind
from recorder.store.heartbeats import PollLimit
from recorder.store.leases import Claim, claim_due, due_order, release
from recorder.upstream.descriptors import NoDescriptorError

SHORTEST_WAIT_SECONDS = 0.005
"""How long to wait at least for the rate to allow more requests, so that this costs little."""

_log = structlog.get_logger("recorder")


class Worker:
    """Polls the groups that it claims as `owner`, each for one `lease`, as far as its `gate` lets it.

    `poll_time` is the longest that a poll takes, with writing its result. `most_at_once` is the most polls
    that the gate may ever let run at once. `last_chance` is how long before its gap opens a group is
    polled even if the upstream asked to wait.

    Claims wait in memory until there is a place and the rate allows a request, but never for so long that
    their lease could end before the poll does. Results wait until they are written. While they cannot be
    written nothing more is claimed, so that no more results wait than claims were waiting and running.
    """

    def __init__(
        self,
        *,
        owner: str,
        writer: DatabaseWriter,
        poller: Poller,
        rate_limiter: RateLimiter,
        circuit_breaker: CircuitBreaker,
        hold: RetryHold,
        events: EventJob,
        concurrency: int,
        most_at_once: int,
        lease: timedelta,
        poll_time: timedelta,
        last_chance: timedelta,
        now: Clock,
    ) -> None:
        self.counters = Counters()
        self.upstream_health = UpstreamHealth()
        self.load = PollLoad(time.monotonic(), time.process_time())
        self.stretch = NO_STRETCH
        self._owner = owner
        self._writer = writer
        self._poller = poller
        self._rate_limiter = rate_limiter
        self._circuit_breaker = circuit_breaker
        self._hold = hold
        self._events = events
        self._descriptor_limit = DescriptorLimit(most_at_once)
        self.gate = StartGate(
            rate_limiter,
            circuit_breaker,
            hold,
            self._descriptor_limit,
            places=concurrency,
            spare_seconds=(lease - poll_time).total_seconds() / 2,
        )
        self._lease = lease
        self._poll_time = poll_time
        self._last_chance = last_chance
        self._now = now
        self._results = ResultWriter(writer, self.counters)
        self._claiming = asyncio.Lock()
        self._closing = False
        self._waiting: deque[Claim] = deque()
        self._more_due = False
        self._last_look = (0, time.monotonic())
        self._in_flight: dict[asyncio.Task[None], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def claim(self, due_until: datetime) -> int:
        """Claim groups that are due, to be polled as soon as possible; return how many.

        Waiting results are written first: otherwise a group whose lease expires while its result waits
        would be claimed again, and the result lost.

        Raises:
            DatabaseUnavailableError: nothing was claimed.
        """
        async with self._claiming:
            self.load.looked(self._limit(time.monotonic()))
            await self.flush()
            self._start()
            limit = self._claims_wanted(time.monotonic())
            if limit <= 0 or self._closing:
                return 0
            work = partial(self._claim_due, due_until=due_until, limit=limit)
            claims = await self._writer.write(work, WriteKind.CLAIM)
            self._more_due = len(claims) == limit
            if not claims and not self._in_flight:
                self._writer.health.nothing_to_write()
            # Claims that arrive after `close` are released by `release_claims`.
            if not self._closing:
                self._waiting.extend(sorted(claims, key=due_order))
                self._start()
            return len(claims)

    async def close(self, seconds: float) -> None:
        """Stop claiming, and wait for running polls, in all for at most `seconds`."""
        self._closing = True
        # Their claims are released by `release_claims`.
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        deadline = time.monotonic() + seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._claiming:
                pass
        await self.wait_for_polls(max(0.0, deadline - time.monotonic()))

    async def flush(self) -> None:
        """Write the waiting results.

        Raises:
            DatabaseUnavailableError: results that were not written keep waiting.
        """
        await self._results.flush()

    async def wait_for_polls(self, seconds: float | None = None) -> None:
        """Wait until all running polls have ended; cancel those that take longer than `seconds`."""
        if not self._in_flight:
            return
        _, slow = await asyncio.wait(self._in_flight, timeout=seconds)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    async def release_claims(self) -> None:
        """Release the claims of unfinished polls, so that other recorders can take the groups immediately.

        Raises:
            DatabaseUnavailableError: nothing was released; the claims end with their leases.
        """
        await self._writer.write(lambda connection: release(connection, [self._owner]), WriteKind.CLAIM)

    @property
    def waiting(self) -> int:
        """The number of claims that wait to be polled."""
        return len(self._waiting)

    @property
    def in_flight_since(self) -> Collection[float]:
        """When each poll began that has not ended, by the monotonic clock."""
        return self._in_flight.values()

    @property
    def unwritten(self) -> int:
        """The number of results that wait to be written."""
        return self._results.unwritten

    async def _poll(self, claim: Claim) -> None:
        began = time.monotonic()
        held_until = {
            Cause.UNAUTHORIZED: self._circuit_breaker.held_until,
            Cause.RATE_LIMITED: self._hold.until,
        }
        try:
            outcome, result = await self._poller.poll(claim, stretch=self.stretch, held_until=held_until)
        except NoDescriptorError:
            self._put_off(claim)
            return
        except Exception:
            # A bug with one group must not stop the recording of the others; its claim ends with its lease.
            self.counters.error()
            _log.exception(
                "a poll failed because of a bug in the recorder", taskgroup_id=claim.watch.taskgroup_id
            )
            return
        self._results.add([result])
        self._descriptor_limit.polled()
        self.counters.polled(outcome)
        self.load.polled(self._now(), time.monotonic() - began, failed=isinstance(outcome, Failure))
        self._hold.polled(claim.watch.taskgroup_id, outcome)
        if _is_expected(claim, outcome):
            self.counters.still_gone()
        else:
            self.upstream_health.polled(outcome)
        self._update_circuit_breaker(outcome)

    def _put_off(self, claim: Claim) -> None:
        self._descriptor_limit.ran_out(len(self._in_flight))
        self.counters.put_off()
        self._give_back([claim])

    def _update_circuit_breaker(self, outcome: PollOutcome) -> None:
        was_tripped = self._circuit_breaker.tripped
        self._circuit_breaker.polled(outcome, time.monotonic())
        key_rejected = self._circuit_breaker.tripped and not was_tripped
        missing = self._poller.missing.together
        self._events.polled(outcome, key_rejected=key_rejected, missing_together=missing)
        if key_rejected:
            _log.error(
                "the upstream rejects the API key: polling is paused except for one probe at a time",
                reason=outcome.detail if isinstance(outcome, Failure) else None,
            )
        elif was_tripped and not self._circuit_breaker.tripped:
            _log.info("the upstream accepts the API key again: polling resumes")

    def _start(self) -> None:
        """Start the polls of waiting claims that may start now."""
        now, monotonic = self._now(), time.monotonic()
        held = self._hold.holds(now)
        while self._waiting and self.gate.may_start(len(self._in_flight), monotonic):
            claim = self._waiting.popleft()
            if claim.lease_until - now < self._poll_time or (held and not self._is_urgent(claim, now)):
                self._give_back([claim])
                continue
            self._rate_limiter.spend(1)
            task = asyncio.create_task(self._poll(claim))
            self._in_flight[task] = monotonic
            task.add_done_callback(self._ended)
        if self._waiting and self.gate.free(len(self._in_flight)) > 0:
            self._start_later(self._rate_limiter.seconds_until_one())

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._in_flight[task]
        self._start()

    def _start_later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(seconds, SHORTEST_WAIT_SECONDS), self._start)

    def _is_urgent(self, claim: Claim, now: datetime) -> bool:
        """Whether a group is polled even though the upstream asked to wait, as `_claim_due` selects them."""
        gap_at = claim.watch.gap_at
        return gap_at is not None and gap_at < now + self._last_chance and not claim.watch.failures.attempts

    def _give_back(self, claims: Iterable[Claim]) -> None:
        """End claims whose groups are not polled; they stay due."""
        self._results.add(self._poller.put_off(claim, self._now(), stretch=self.stretch) for claim in claims)

    def _claims_wanted(self, monotonic: float) -> int:
        polls, (before, since) = self.counters["polls"], self._last_look
        self._last_look = (polls, monotonic)
        per_second = (polls - before) / max(monotonic - since, 1e-3)
        return self.gate.claims(len(self._in_flight), per_second, monotonic) - len(self._waiting)

    def _limit(self, monotonic: float) -> PollLimit | None:
        """Return what keeps polls of groups that are due from starting."""
        limit = self.gate.limit(len(self._in_flight), self._now(), monotonic)
        if limit in {PollLimit.KEY_REJECTED, PollLimit.RETRY_AFTER} or self._waiting:
            return limit
        return (limit or PollLimit.MACHINE) if self._more_due else None

    def _claim_due(self, connection: Connection, *, due_until: datetime, limit: int) -> list[Claim]:
        now = self._now()
        return claim_due(
            connection,
            owner=self._owner,
            now=due_until,
            lease_until=now + self._lease,
            limit=limit,
            # A group whose gap is about to open is asked in spite of a hold, so that it is known why.
            gap_before=now + self._last_chance if self._hold.holds(now) else None,
        )


def _is_expected(claim: Claim, outcome: PollOutcome) -> bool:
    """Whether a failure is expected: a gone group is still polled occasionally."""
    gone = claim.watch.state is WatchState.GONE
    return gone and isinstance(outcome, Failure) and outcome.cause is Cause.NOT_FOUND
