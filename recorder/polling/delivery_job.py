"""The job that tells sinks what happened, apart from polling: it never waits for that, nor that for it."""

from __future__ import annotations

import asyncio
import shlex
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine

from recorder.notify.sending import Sender, SinkAnswer
from recorder.notify.sinks import Sink
from recorder.polling.background import BackgroundThread
from recorder.polling.jobs import first_of
from recorder.store.database_clock import DatabaseClock
from recorder.store.deliveries import (
    Attempt,
    Delivery,
    due_deliveries,
    gives_up,
    has_listed,
    has_unqueued,
    lease_is_free,
    list_sinks,
    queue_events,
    release_lease,
    take_lease,
    unlist_sinks,
    write_attempts,
)
from recorder.store.transactions import DatabaseUnavailableError, reading, writing

TICK_SECONDS = 0.3
AT_ONCE = 8
"""How many deliveries to one sink may be under way; only one while it fails."""
ONCE_SECONDS = 30.0
"""How long `run_once` may take."""
LAST_SENDS_SECONDS = 2.0
"""How long deliveries under way may continue once the recorder is asked to stop."""
LAST_WRITES_SECONDS = 4.0
_LOOK_SECONDS = 3.0
"""How often to prolong the lease, or to look whether it is free; a third of it at most."""
_DATABASE_SECONDS = 10.0

_log = structlog.get_logger("recorder")
_T = TypeVar("_T")


class DeliveryJob:
    """Delivers events to `sinks` while it holds the lease, which one of all recorders does.

    Without sinks, it takes those off the list to which no other recorder delivers.
    """

    def __init__(self, sinks: Sequence[Sink], engine: Engine, clock: DatabaseClock) -> None:
        self._sinks = {sink.name: sink for sink in sinks}
        self._engine = engine
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._thread = BackgroundThread("recorder-deliveries", _DATABASE_SECONDS)
        self._holds = False
        self._look_at = time.monotonic()
        self._under_way: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._attempts: list[Attempt] = []
        self._failing: set[str] = set()
        self._refusing: set[str] = set()
        self._sends_are_stuck = False

    @property
    def stuck(self) -> bool:
        """Whether work has not ended; its thread would keep the process from exiting."""
        return self._thread.stuck or self._sends_are_stuck

    @asynccontextmanager
    async def running(self, stop: asyncio.Event) -> AsyncIterator[None]:
        """Deliver during the block, or until `stop` is set; the end of the block sets it."""
        task = asyncio.create_task(self._run(stop) if self._sinks else self._run_without_sinks(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def run_once(self, stop: asyncio.Event) -> None:
        """Deliver what is due now, unless another recorder does, for at most ONCE_SECONDS."""
        if not self._sinks:
            await self._unlist()
            self._thread.close()
            return
        async with Sender(self._clock) as sender:
            with suppress(TimeoutError):
                async with asyncio.timeout(ONCE_SECONDS):
                    while not stop.is_set() and await self._try(sender) and self._under_way:
                        await first_of(asyncio.wait(self._under_way.values()), stop.wait())
            await self._end(sender)

    async def _run(self, stop: asyncio.Event) -> None:
        async with Sender(self._clock) as sender:
            while not stop.is_set():
                await self._try(sender)
                await first_of(stop.wait(), self._pause())
            await self._end(sender)

    async def _run_without_sinks(self, stop: asyncio.Event) -> None:
        async def unlist() -> None:
            while not await self._unlist():
                await asyncio.sleep(_LOOK_SECONDS)

        # A database that does not respond is not waited for.
        await first_of(stop.wait(), unlist())
        self._thread.close()

    async def _unlist(self) -> bool:
        """Take the sinks off the list, unless another recorder delivers; return whether none is listed."""
        try:
            if not self._clock.ready:
                return False
            if not await self._read(has_listed):
                return True
            now = self._clock()
            free = await self._read(partial(lease_is_free, owner=self._owner, now=now))
            return free and await self._write(partial(unlist_sinks, owner=self._owner, now=now))
        except DatabaseUnavailableError:
            return False

    async def _pause(self) -> None:
        """Wait for the next look; go on as soon as everything under way has ended, unless sinks fail."""
        if self._under_way and not self._failing:
            await asyncio.wait(self._under_way.values(), timeout=TICK_SECONDS)
        else:
            await asyncio.sleep(TICK_SECONDS)

    async def _try(self, sender: Sender) -> bool:
        """Do what is due; return whether this recorder delivers. The writer logs if the database is away."""
        try:
            return self._clock.ready and await self._tick(sender)
        except DatabaseUnavailableError:
            return False
        except Exception:
            _log.exception("events cannot be delivered because of a bug in the recorder")
            return False

    async def _tick(self, sender: Sender) -> bool:
        await self._write_attempts()
        now = self._clock()
        if not await self._hold(now):
            return False
        queue = partial(queue_events, listed=self._sinks.values(), now=now)
        while await self._read(has_unqueued) and await self._write(queue):
            pass
        busy = {sink: self._busy_with(sink) for sink in self._sinks}
        # Whatever is sent to an idle sink that refused events is sent since it was enabled again.
        self._refusing.intersection_update(sink for sink, ids in busy.items() if ids)
        for delivery in await self._read(partial(self._due, now=now, busy=busy)):
            key = (delivery.sink, delivery.item.id)
            self._under_way[key] = asyncio.create_task(self._send(sender, delivery))
        return True

    def _busy_with(self, sink: str) -> list[int]:
        """Return the events that are under way to a sink, or whose attempt could not be written yet."""
        busy = [event_id for name, event_id in self._under_way if name == sink]
        return busy + [done.delivery.item.id for done in self._attempts if done.delivery.sink == sink]

    def _due(
        self, connection: Connection, now: datetime, busy: Mapping[str, Collection[int]]
    ) -> list[Delivery]:
        places = {sink: 1 if sink in self._failing else AT_ONCE for sink in busy}
        return [
            delivery
            for sink, ids in busy.items()
            if len(ids) < places[sink]
            for delivery in due_deliveries(connection, sink, now, places[sink] - len(ids), ids)
        ]

    async def _send(self, sender: Sender, delivery: Delivery) -> None:
        key = (delivery.sink, delivery.item.id)
        try:
            answer = await sender.send(self._sinks[delivery.sink], str(delivery.item.id), delivery.item.event)
        except Exception:
            _log.exception(
                "an event cannot be sent because of a bug in the recorder",
                taskgroup_id=delivery.item.event.taskgroup_id,
                sink=delivery.sink,
            )
            answer = SinkAnswer("a bug in the recorder")
        finally:
            del self._under_way[key]
        attempt = Attempt(delivery, self._clock(), answer.error, answer.gone)
        self._attempts.append(attempt)
        self._log_attempt(attempt)

    async def _hold(self, now: datetime) -> bool:
        """Take or prolong the lease; return whether this recorder has it."""
        monotonic = time.monotonic()
        if monotonic < self._look_at:
            return self._holds
        self._look_at = monotonic + _LOOK_SECONDS
        held, self._holds = self._holds, False
        if not await self._read(partial(lease_is_free, owner=self._owner, now=now)):
            return False
        if not await self._write(partial(take_lease, owner=self._owner, now=now)):
            return False
        if not held:
            await self._write(partial(list_sinks, listed=self._sinks.values(), now=now))
        self._holds = True
        return True

    async def _write_attempts(self) -> None:
        if self._attempts:
            attempts = list(self._attempts)
            await self._write(partial(write_attempts, attempts=attempts))
            del self._attempts[: len(attempts)]

    async def _end(self, sender: Sender) -> None:
        """Let deliveries under way end, write what became of them, and leave the lease to others."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=LAST_SENDS_SECONDS)
        for task in list(self._under_way.values()):
            task.cancel()
        self._sends_are_stuck = sender.stuck
        with suppress(DatabaseUnavailableError, TimeoutError):
            async with asyncio.timeout(LAST_WRITES_SECONDS):
                await self._write_attempts()
                await self._write(partial(release_lease, owner=self._owner))
        self._thread.close()

    async def _read(self, work: Callable[[Connection], _T]) -> _T:
        return await self._in_thread(lambda: _within(reading, self._engine, work))

    async def _write(self, work: Callable[[Connection], _T]) -> _T:
        return await self._in_thread(lambda: _within(writing, self._engine, work))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await self._thread.run(work)
        except TimeoutError as error:
            raise DatabaseUnavailableError(str(error)) from None

    def _log_attempt(self, attempt: Attempt) -> None:
        """Log when a sink begins to fail and when it works again, and what is given up."""
        name = attempt.delivery.sink
        if attempt.error is None:
            if name in self._failing:
                self._failing.discard(name)
                _log.info("a sink takes events again", sink=name)
            return
        if attempt.gone:
            self._log_refusal(name, attempt.error)
            return
        if gives_up(attempt):
            item = attempt.delivery.item
            _log.error(
                "an event could not be delivered",
                taskgroup_id=item.event.taskgroup_id,
                sink=name,
                event_id=item.id,
            )
        if name not in self._failing:
            self._failing.add(name)
            _log.warning("a sink does not take events", sink=name, reason=attempt.error)

    def _log_refusal(self, name: str, reason: str) -> None:
        """Log that a sink wants no more events, once, however many were under way to it."""
        self._failing.add(name)
        if name not in self._refusing:
            self._refusing.add(name)
            _log.error(
                "a sink wants no more events; enable it again with: "
                f"recorder notify replay {shlex.quote(name)}",
                sink=name,
                reason=reason,
            )


def _within(transaction: Callable[[Engine], object], engine: Engine, work: Callable[[Connection], _T]) -> _T:
    with transaction(engine) as connection:  # type: ignore[attr-defined]
        return work(connection)
