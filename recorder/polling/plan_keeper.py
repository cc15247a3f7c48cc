"""Groups that other recorders left behind: their claims, and polls planned too far ahead."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial

import structlog

from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.heartbeat import Departures, HeartbeatWriter
from recorder.polling.schedule import Intervals, longest_wait
from recorder.polling.write_health import WriteKind
from recorder.store.database_clock import DatabaseClock
from recorder.store.workload import make_due
from recorder.upstream.retry_after import MAX_RETRY_AFTER_SECONDS

LOOK_SECONDS = 60.0
"""How often to look for plans that are too far ahead, if there is no reason to look earlier."""

_log = structlog.get_logger("recorder")


class PlanKeeper:
    """Makes groups due that no other recorder is going to poll in time.

    This is apart from the heartbeat, which must not wait for rows that another recorder has locked.
    """

    def __init__(
        self, writer: DatabaseWriter, heartbeat: HeartbeatWriter, intervals: Intervals, clock: DatabaseClock
    ) -> None:
        self._writer = writer
        self._heartbeat = heartbeat
        self._intervals = intervals
        self._clock = clock
        self._departures = Departures()
        self._look_at = 0.0

    def departed(self, departures: Departures) -> None:
        """Take note of recorders that are gone."""
        self._departures |= departures

    async def run(self) -> None:
        """Take over from recorders that have died, and look at the plans if a recorder is gone, or regularly.

        Raises:
            DatabaseUnavailableError: the next run tries again.
        """
        departures, self._departures = self._departures, Departures()
        try:
            if departures.dead:
                take_over = partial(self._heartbeat.take_over, dead=departures.dead)
                await self._writer.write(take_over, WriteKind.CLAIM)
            if departures or time.monotonic() >= self._look_at:
                await self.reschedule()
        except BaseException:
            self._departures |= departures
            raise

    async def reschedule(self) -> None:
        """Make groups due whose next poll was planned by a clock that was ahead of this one.

        Raises:
            DatabaseUnavailableError: nothing was changed.
        """
        self._look_at = time.monotonic() + LOOK_SECONDS
        work = partial(
            make_due,
            now=self._clock(),
            longest=longest_wait(self._intervals, self._heartbeat.load.stretch.factor),
            longest_retry=timedelta(seconds=MAX_RETRY_AFTER_SECONDS),
            alive=self._heartbeat.alive,
        )
        groups = await self._writer.write(work, WriteKind.CLAIM)
        if groups:
            _log.warning("polls were planned too far ahead and are due now", groups=groups)
