"""When the upstream is down and up again, as all recorders of one database see it together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from recorder.ledger.poll_outcome import Cause, Failure, PollOutcome
from recorder.ledger.timestamps import format_time
from recorder.notify.events import Event, EventType


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """How the upstream responds. Times are None while it does.

    `failing_since` is the first failure since any recorder last had a response, `down_since` the same once
    that is an outage. `rejected_since` is when the API key was rejected. `outages` and `rejections` count
    them all.
    """

    failing_since: datetime | None = None
    down_since: datetime | None = None
    outages: int = 0
    rejected_since: datetime | None = None
    rejections: int = 0


@dataclass(frozen=True, slots=True)
class UpstreamReport:
    """What one recorder has seen since its last report.

    `answered`: a poll got a response. `failed` is the first poll that failed. `refused`: the upstream refused
    the key of a poll; `rejected`: it was found since then to reject the key altogether.
    """

    answered: bool = False
    failed: Failure | None = None
    refused: bool = False
    rejected: bool = False

    def with_outcome(self, outcome: PollOutcome, *, missing_together: bool = False) -> UpstreamReport:
        """Return the report after one more poll.

        A 404 is a response: it is about one group, unless groups are `missing_together`. A refused key is
        neither a response nor a failure.
        """
        if not isinstance(outcome, Failure):
            return replace(self, answered=True)
        if outcome.cause is Cause.NOT_FOUND and not missing_together:
            return replace(self, answered=True)
        if outcome.cause is Cause.UNAUTHORIZED:
            return replace(self, refused=True)
        return replace(self, failed=self.failed or outcome)

    def __or__(self, later: UpstreamReport) -> UpstreamReport:
        return UpstreamReport(
            self.answered or later.answered,
            self.failed or later.failed,
            self.refused or later.refused,
            self.rejected or later.rejected,
        )


def judge(
    state: UpstreamState, report: UpstreamReport, now: datetime, window: timedelta
) -> tuple[UpstreamState, list[Event]]:
    """Return the state after a report, and what happened.

    The upstream is down once polls have failed for longer than `window` without a response to any recorder.
    """
    events = []
    if report.answered:
        if state.down_since is not None:
            since = {"down_since": format_time(state.down_since)}
            events.append(_event(EventType.UPSTREAM_UP, state.outages, now, since))
        state = replace(state, failing_since=None, down_since=None, rejected_since=None)
    elif state.down_since is None and report.refused:
        state = replace(state, failing_since=None)
    elif state.down_since is None and report.failed is not None:
        since_when = state.failing_since or report.failed.ended_at
        state = replace(state, failing_since=since_when)
        if now - since_when > window:
            state = replace(state, down_since=since_when, outages=state.outages + 1)
            failure = report.failed
            data = {
                "down_since": format_time(since_when),
                "cause": failure.cause.value,
                "http_status": failure.http_status,
                "detail": failure.detail,
            }
            events.append(_event(EventType.UPSTREAM_DOWN, state.outages, now, data))
    if report.rejected and state.rejected_since is None:
        state = replace(state, rejected_since=now, rejections=state.rejections + 1)
        events.append(_event(EventType.KEY_REJECTED, state.rejections, now, {}))
    return state, events


def _event(kind: EventType, number: int, now: datetime, data: dict[str, Any]) -> Event:
    return Event(kind, str(number), now, None, None, data)
