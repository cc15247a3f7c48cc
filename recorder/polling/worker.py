"""The line of work: claim groups that are due, poll them, write what came of it."""

from __future__ import annotations

import asyncio
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
from recorder.polling.poller import Poller
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.upstream_health import Counters, UpstreamHealth
from recorder.store.leases import Claim, PollResult, claim_due, release, write_results
from recorder.store.transactions import DatabaseUnavailableError

_log = structlog.get_logger("recorder")


class Worker:
    """Polls the groups that it claims as `owner`, at most `concurrency` at once, each for one `lease`."""

    def __init__(
        self,
        *,
        owner: str,
        writer: DatabaseWriter,
        poller: Poller,
        budget: RateLimiter,
        gate: CircuitBreaker,
        concurrency: int,
        lease: timedelta,
        now: Clock,
    ) -> None:
        self.counters = Counters()
        self.trouble = UpstreamHealth()
        self.stretch = 1.0
        self._owner = owner
        self._writer = writer
        self._poller = poller
        self._budget = budget
        self._gate = gate
        self._concurrency = concurrency
        self._lease = lease
        self._now = now
        self._outbox = Outbox()
        self._claiming = asyncio.Lock()
        self._flushing = asyncio.Lock()
        self._closing = False
        self._in_flight: set[asyncio.Task[None]] = set()

    async def claim(self, due_until: datetime) -> int:
        """Claim what is due and start polling it, as far as budget and concurrency go; return how many.

        What is waiting is written first: a claim whose lease runs out while its result waits would
        be claimed anew, and the result lost.

        Raises:
            DatabaseUnavailableError: nothing was claimed.
        """
        async with self._claiming:
            await self.flush()
            limit = self._limit(time.monotonic())
            if limit <= 0 or self._closing:
                return 0
            claims = await self._writer.write(partial(self._claim_due, due_until=due_until, limit=limit))
            self._budget.spend(len(claims))
            # Claims that come too late are given back by the end.
            for claim in claims if not self._closing else ():
                task = asyncio.create_task(self._poll(claim))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
            return len(claims)

    async def close(self, seconds: float) -> None:
        """Claim nothing more, and wait for the polls under way, `seconds` at most."""
        self._closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._claiming:
                pass
        await self.wait_for_polls(seconds)

    async def flush(self) -> None:
        """Write what is waiting. A group whose claim was lost meanwhile loses its step, and is polled anew.

        Raises:
            DatabaseUnavailableError: what was not written goes on waiting.
        """
        async with self._flushing:
            while batch := self._outbox.take():
                try:
                    await self._write(batch)
                except BaseException:
                    # Should some of it be written after all, its claims are over, and it is not again.
                    self._outbox.put_back(batch)
                    raise

    async def _write(self, batch: list[PollResult]) -> None:
        try:
            written = await self._writer.write(partial(write_results, batch=batch))
        except DatabaseUnavailableError:
            raise
        except Exception:
            # A result that cannot be written must not take the others of its batch along.
            if len(batch) == 1:
                self.counters.error()
                taskgroup = batch[0].watch.taskgroup_id
                _log.exception("a result cannot be written, by an error of the recorder", taskgroup=taskgroup)
                return
            for start in range(0, len(batch), half := (len(batch) + 1) // 2):
                await self._write(batch[start : start + half])
        else:
            self._count(written.results, dropped=len(batch) - len(written.results))

    async def wait_for_polls(self, seconds: float | None = None) -> None:
        """Wait until every poll under way has ended, or end those that go on for longer than `seconds`."""
        if not self._in_flight:
            return
        _, slow = await asyncio.wait(self._in_flight, timeout=seconds)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    async def give_back(self) -> None:
        """Release the claims whose polls did not end, so that others can take the groups at once.

        Raises:
            DatabaseUnavailableError: nothing was released; the leases run out by themselves.
        """
        await self._writer.write(lambda connection: release(connection, [self._owner], self._now()))

    @property
    def unwritten(self) -> int:
        """How many results wait to be written."""
        return len(self._outbox)

    async def _poll(self, claim: Claim) -> None:
        try:
            held_until = self._gate.held_until
            outcome, finished = await self._poller.poll(claim, stretch=self.stretch, held_until=held_until)
        except Exception:
            # A bug in one group's case must not end the others' recording; its lease runs out.
            self.counters.error()
            _log.exception("poll failed by an error of the recorder", taskgroup=claim.watch.taskgroup_id)
            return
        self._outbox.put(finished)
        self.counters.polled(outcome)
        if _is_expected(claim, outcome):
            self.counters.still_gone()
        else:
            self.trouble.polled(outcome)
        self._pass_gate(outcome)

    def _pass_gate(self, outcome: PollOutcome) -> None:
        was_closed = self._gate.closed
        self._gate.polled(outcome, time.monotonic())
        if self._gate.closed and not was_closed:
            _log.error(
                "the upstream rejects the API key: polls pause, one at a time tries whether it still does",
                reason=outcome.detail if isinstance(outcome, Failure) else None,
            )
        elif was_closed and not self._gate.closed:
            _log.info("the upstream takes the API key again: polls go on")

    def _limit(self, monotonic: float) -> int:
        """How many polls may start."""
        in_flight = len(self._in_flight)
        free = min(self._concurrency - in_flight, self._budget.available(monotonic))
        return self._gate.limit(free, in_flight, monotonic)

    def _claim_due(self, connection: Connection, *, due_until: datetime, limit: int) -> list[Claim]:
        lease_until = self._now() + self._lease
        return claim_due(connection, owner=self._owner, now=due_until, lease_until=lease_until, limit=limit)

    def _count(self, held: list[PollResult], dropped: int) -> None:
        gaps: Counter[str] = Counter()
        self.counters.dropped(dropped)
        for entry in (entry for finished in held for entry in finished.entries):
            self.counters.wrote(entry)
            if isinstance(entry.content, Gap):
                gaps[entry.content.cause.value] += 1
            elif isinstance(entry.content, WatchChange):
                _log.warning(entry.content.action.value, taskgroup=entry.taskgroup_id)
        if gaps:
            # One line for all: an outage of the upstream ends in a gap for every group at once.
            _log.warning("gaps recorded", **gaps)


def _is_expected(claim: Claim, outcome: PollOutcome) -> bool:
    """Whether a failure is no news: a group that is gone is still asked for now and then."""
    gone = claim.watch.state is WatchState.GONE
    return gone and isinstance(outcome, Failure) and outcome.cause is Cause.NOT_FOUND


WRITE_BATCH = 500
"""How many results one transaction writes at most."""


class Outbox:
    """Results in the order in which they came. No more are polled for while it cannot be emptied, so that
    it never holds more than the recorder's concurrency."""

    def __init__(self) -> None:
        self._waiting: deque[PollResult] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, finished: PollResult) -> None:
        self._waiting.append(finished)

    def take(self) -> list[PollResult]:
        """Take out a batch; what could not be written goes back with `put_back`."""
        return [self._waiting.popleft() for _ in range(min(WRITE_BATCH, len(self._waiting)))]

    def put_back(self, batch: list[PollResult]) -> None:
        self._waiting.extendleft(reversed(batch))
