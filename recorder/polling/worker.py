"""The worker: claims groups that are due, polls them, and writes the results."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from recorder.clock import Clock
from recorder.ledger.entries import Gap, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, PollOutcome
from recorder.ledger.watch import WatchState
from recorder.polling.circuit_breaker import CircuitBreaker
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.descriptor_limit import DescriptorLimit
from recorder.polling.poll_load import Limit, PollLoad
from recorder.polling.poller import Poller
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.retry_hold import RetryHold
from recorder.polling.upstream_health import Counters, UpstreamHealth
from recorder.polling.write_health import WriteKind
from recorder.store.leases import Claim, PollResult, claim_due, release, write_results
from recorder.store.transactions import DatabaseUnavailableError
from recorder.upstream.descriptors import NoDescriptorError

WRITE_BATCH = 500
"""The maximum number of results that one transaction writes."""

_log = structlog.get_logger("recorder")


class Worker:
    """Polls the groups that it claims as `owner`, at most `concurrency` at once, each for one `lease`.

    `last_chance` is how long before its gap opens a group is polled even if the upstream asked to wait.

    Results wait in memory until they are written. While they cannot be written nothing more is polled, so
    that no more than `concurrency` results ever wait.
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
        concurrency: int,
        lease: timedelta,
        last_chance: timedelta,
        now: Clock,
    ) -> None:
        self.counters = Counters()
        self.upstream_health = UpstreamHealth()
        self.load = PollLoad()
        self.stretch = 1.0
        self._owner = owner
        self._writer = writer
        self._poller = poller
        self._rate_limiter = rate_limiter
        self._circuit_breaker = circuit_breaker
        self._hold = hold
        self._descriptor_limit = DescriptorLimit(concurrency)
        self._lease = lease
        self._last_chance = last_chance
        self._now = now
        self._results: deque[PollResult] = deque()
        self._claiming = asyncio.Lock()
        self._flushing = asyncio.Lock()
        self._closing = False
        self._in_flight: set[asyncio.Task[None]] = set()

    async def claim(self, due_until: datetime) -> int:
        """Claim groups that are due and start polling them; return how many.

        Waiting results are written first: otherwise a group whose lease expires while its result waits
        would be claimed again, and the result lost.

        Raises:
            DatabaseUnavailableError: nothing was claimed.
        """
        async with self._claiming:
            await self.flush()
            limit, limited_by = self._limit(time.monotonic())
            if limit <= 0 or self._closing:
                self.load.claimed(limited_by)
                return 0
            work = partial(self._claim_due, due_until=due_until, limit=limit)
            claims = await self._writer.write(work, WriteKind.CLAIM)
            held = self._hold.holds(self._now())
            self.load.claimed(Limit.RETRY_AFTER if held else limited_by if len(claims) == limit else None)
            self._rate_limiter.spend(len(claims))
            if not claims and not self._in_flight:
                self._writer.health.nothing_to_write()
            # Claims that arrive after `close` are released by `release_claims`.
            for claim in sorted(claims, key=_due_at) if not self._closing else ():
                task = asyncio.create_task(self._poll(claim))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
            return len(claims)

    async def close(self, seconds: float) -> None:
        """Stop claiming, and wait for running polls, in all for at most `seconds`."""
        self._closing = True
        deadline = time.monotonic() + seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._claiming:
                pass
        await self.wait_for_polls(max(0.0, deadline - time.monotonic()))

    async def flush(self) -> None:
        """Write the waiting results. One whose claim was lost is dropped, and its group is polled again.

        Raises:
            DatabaseUnavailableError: results that were not written keep waiting.
        """
        async with self._flushing:
            while batch := self._take_batch():
                try:
                    await self._write(batch)
                except BaseException:
                    # Results that were written after all have lost their claims and are not written twice.
                    self._results.extendleft(reversed(batch))
                    raise

    def _take_batch(self) -> list[PollResult]:
        return [self._results.popleft() for _ in range(min(WRITE_BATCH, len(self._results)))]

    async def _write(self, batch: list[PollResult]) -> None:
        try:
            written = await self._writer.write(
                partial(write_results, batch=batch), WriteKind.RESULTS, wrote=lambda done: bool(done.results)
            )
        except DatabaseUnavailableError:
            raise
        except Exception:
            # Split the batch, so that one result that cannot be written does not affect the others.
            if len(batch) == 1:
                self.counters.error()
                taskgroup = batch[0].watch.taskgroup_id
                _log.exception(
                    "a result cannot be written because of a bug in the recorder", taskgroup=taskgroup
                )
                return
            for start in range(0, len(batch), half := (len(batch) + 1) // 2):
                await self._write(batch[start : start + half])
        else:
            self._count(written.results, dropped=len(batch) - len(written.results))

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
        await self._writer.write(
            lambda connection: release(connection, [self._owner], self._now()), WriteKind.CLAIM
        )

    @property
    def unwritten(self) -> int:
        """The number of results that wait to be written."""
        return len(self._results)

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
                "a poll failed because of a bug in the recorder", taskgroup=claim.watch.taskgroup_id
            )
            return
        self._results.append(result)
        self._descriptor_limit.polled()
        self.counters.polled(outcome)
        self.load.polled(self._now(), time.monotonic() - began)
        self._hold.polled(claim.watch.taskgroup_id, outcome)
        if _is_expected(claim, outcome):
            self.counters.still_gone()
        else:
            self.upstream_health.polled(outcome)
        self._update_circuit_breaker(outcome)

    def _put_off(self, claim: Claim) -> None:
        self._descriptor_limit.ran_out(len(self._in_flight))
        self.counters.put_off()
        self._results.append(self._poller.put_off(claim, self._now(), stretch=self.stretch))

    def _update_circuit_breaker(self, outcome: PollOutcome) -> None:
        was_tripped = self._circuit_breaker.tripped
        self._circuit_breaker.polled(outcome, time.monotonic())
        if self._circuit_breaker.tripped and not was_tripped:
            _log.error(
                "the upstream rejects the API key: polling is paused except for one probe at a time",
                reason=outcome.detail if isinstance(outcome, Failure) else None,
            )
        elif was_tripped and not self._circuit_breaker.tripped:
            _log.info("the upstream accepts the API key again: polling resumes")

    def _limit(self, monotonic: float) -> tuple[int, Limit]:
        """Return how many polls may start, and what keeps it from being more."""
        in_flight = len(self._in_flight)
        places = self._descriptor_limit.allowed - in_flight
        rate = self._rate_limiter.available(monotonic)
        free, limited_by = min((places, Limit.CONCURRENCY), (rate, Limit.RATE))
        allowed = self._circuit_breaker.limit(free, in_flight, monotonic)
        return allowed, Limit.KEY_REJECTED if self._circuit_breaker.tripped else limited_by

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

    def _count(self, written: list[PollResult], dropped: int) -> None:
        gaps: Counter[str] = Counter()
        self.counters.dropped(dropped)
        for entry in (entry for result in written for entry in result.entries):
            self.counters.wrote(entry)
            if isinstance(entry.content, Gap):
                gaps[entry.content.cause.value] += 1
            elif isinstance(entry.content, WatchChange):
                _log.warning(entry.content.action.value, taskgroup=entry.taskgroup_id)
        if gaps:
            # One line for all groups, since an outage of the upstream ends in a gap for every group.
            _log.warning("gaps recorded", **gaps)


def _due_at(claim: Claim) -> float:
    """The order in which polls start: if not all of them can, the group longest due must be among them."""
    due_at = claim.watch.poll_due_at
    return math.inf if due_at is None else due_at.timestamp()


def _is_expected(claim: Claim, outcome: PollOutcome) -> bool:
    """Whether a failure is expected: a gone group is still polled occasionally."""
    gone = claim.watch.state is WatchState.GONE
    return gone and isinstance(outcome, Failure) and outcome.cause is Cause.NOT_FOUND
