"""Jobs that publish events, and make those that only the clock or all recorders together can tell."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from recorder.clock import Clock
from recorder.ledger.poll_outcome import PollOutcome
from recorder.notify.events import Event, EventType
from recorder.notify.upstream import UpstreamReport, judge
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.write_health import WriteKind
from recorder.settings import Settings
from recorder.store.clock_events import (
    find_overdue,
    find_short,
    find_stalled,
    read_upstream_state,
    report_upstream,
)
from recorder.store.events import add_events, has_unpublished, publish_events

PUBLISH_SECONDS = 0.3
CHECK_CLOCK_SECONDS = 2.0

_log = structlog.get_logger("recorder")


class EventJob:
    """Publishes the events of all recorders, and watches the clock and the upstream for some.

    A group is stalled after `stall_after` without a change of its counts, None for never. After
    `gap_window`, a group is short, and the upstream down.
    """

    def __init__(
        self, writer: DatabaseWriter, now: Clock, *, stall_after: timedelta | None, gap_window: timedelta
    ) -> None:
        self._writer = writer
        self._now = now
        self._stall_after = stall_after
        self._gap_window = gap_window
        self._report = UpstreamReport()

    def polled(
        self, outcome: PollOutcome, *, key_rejected: bool = False, missing_together: bool = False
    ) -> None:
        """Take note of a poll, whether the upstream was found to reject the API key because of it, and
        whether groups that were seen before are missing together."""
        report = UpstreamReport(rejected=key_rejected)
        self._report |= report.with_outcome(outcome, missing_together=missing_together)

    async def publish(self) -> None:
        """Publish events that are written. Reading whether there are any does not keep others from writing.

        Raises:
            DatabaseUnavailableError: the next run tries again.
        """
        if not await self._writer.read(has_unpublished):
            return
        while published := await self._writer.write(publish_events, WriteKind.EVENTS):
            for item in published:
                _log_event(item.event)

    async def check(self) -> None:
        """Report what the polls saw of the upstream, and look for groups that stand still, or are not as they
        were expected to be.

        Raises:
            DatabaseUnavailableError: the next run tries again.
        """
        now = self._now()
        await self._report_upstream(now)
        found = await self._writer.read(partial(self._find, now=now))
        if found:
            await self._writer.write(partial(add_events, new=found), WriteKind.EVENTS)

    def _find(self, connection: Connection, now: datetime) -> list[Event]:
        found = [*find_short(connection, self._gap_window, now), *find_overdue(connection, now)]
        if self._stall_after is not None:
            found += find_stalled(connection, self._stall_after, now)
        return found

    async def _report_upstream(self, now: datetime) -> None:
        report, self._report = self._report, UpstreamReport()
        if report == UpstreamReport():
            return
        try:
            if await self._writer.read(partial(self._is_news, report=report, now=now)):
                take = partial(report_upstream, report=report, now=now, window=self._gap_window)
                await self._writer.write(take, WriteKind.EVENTS)
        except BaseException:
            self._report = report | self._report
            raise

    def _is_news(self, connection: Connection, report: UpstreamReport, now: datetime) -> bool:
        """Whether a report changes the state that all recorders share."""
        state = read_upstream_state(connection)
        return judge(state, report, now, self._gap_window)[0] != state


def event_job_of(settings: Settings, writer: DatabaseWriter, now: Clock) -> EventJob:
    """Return the job that the settings ask for."""
    stall_after = timedelta(seconds=settings.stall_after) if settings.stall_after else None
    return EventJob(writer, now, stall_after=stall_after, gap_window=settings.rules.gap_window)


def _log_event(event: Event) -> None:
    """Log the events that a person waits for, once in all logs together."""
    if event.type is EventType.SETTLED:
        runs = {name: count for name, count in event.data["runs"].items() if count is not None}
        _log.info("settled", taskgroup_id=event.taskgroup_id, outcome=event.data["outcome"], **runs)
    elif event.type is EventType.BLOCKED:
        _log.warning("blocked: a run needs an action", taskgroup_id=event.taskgroup_id)
    elif event.type is EventType.SHORT:
        _log.warning(
            "settled with fewer runs than expected",
            taskgroup_id=event.taskgroup_id,
            runs=event.data["runs"],
            expected=event.data["expected"]["runs"],
        )
    elif event.type is EventType.OVERDUE:
        _log.warning("overdue", taskgroup_id=event.taskgroup_id, expected_by=event.data["expected"]["by"])
    elif event.type is EventType.STALLED:
        _log.warning(
            "stalled", taskgroup_id=event.taskgroup_id, unchanged_seconds=event.data["unchanged_seconds"]
        )
