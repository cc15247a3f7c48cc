"""A pause that the upstream asked for: it holds back every recorder, not just the one that was told."""

from __future__ import annotations

from datetime import datetime, timedelta

from recorder.ledger.poll_outcome import Cause, Failure, PollOutcome
from recorder.polling.schedule import LONGEST_RETRY

LIMITED_GROUPS = 3
LIMITED_FOR = timedelta(seconds=1)
"""A limit is for all requests if this many groups have met it and no response came for this long."""


class RetryHold:
    """Holds back polls after 429s with `Retry-After`, for at most LONGEST_RETRY, until a poll succeeds."""

    def __init__(self) -> None:
        self.until: datetime | None = None
        self._held_since: datetime | None = None
        self._reported: datetime | None = None
        self._limited: set[str] = set()
        self._limited_since: datetime | None = None

    def polled(self, taskgroup_id: str, outcome: PollOutcome) -> None:
        """Take note of the outcome of a poll."""
        if not isinstance(outcome, Failure):
            self._answered(outcome.asked_at)
        elif outcome.cause is Cause.RATE_LIMITED and outcome.retry_after_seconds:
            wait = min(timedelta(seconds=outcome.retry_after_seconds), LONGEST_RETRY)
            self._limit_met(taskgroup_id, outcome.ended_at, wait)

    def told(self, until: datetime, now: datetime) -> None:
        """Take note of what another recorder reports; a time too far ahead is of another clock."""
        if now < until <= now + LONGEST_RETRY and self._extend(until, now):
            self._reported = until

    def holds(self, now: datetime) -> bool:
        """Whether polls are held back at `now`."""
        # The clock may have been set back since.
        return self.until is not None and now < self.until <= now + LONGEST_RETRY

    def news(self) -> bool:
        """Whether there is something that other recorders were not told yet; they are told now."""
        before, self._reported = self._reported, self.until
        return before != self.until

    def _answered(self, asked_at: datetime) -> None:
        self._limited.clear()
        if self._held_since is not None and asked_at > self._held_since:
            self.until = self._held_since = None

    def _limit_met(self, taskgroup_id: str, at: datetime, wait: timedelta) -> None:
        if not self._limited or self._limited_since is None:
            self._limited_since = at
        self._limited.add(taskgroup_id)
        if len(self._limited) >= LIMITED_GROUPS and at - self._limited_since >= LIMITED_FOR:
            self._extend(at + wait, at)

    def _extend(self, until: datetime, now: datetime) -> bool:
        if self.until is not None and until <= self.until:
            return False
        if not self.holds(now):
            self._held_since = now
        self.until = until
        return True
