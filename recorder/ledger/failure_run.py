"""The failed polls since the last response, from which a gap is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from recorder.ledger.poll_outcome import Cause, Failure
from recorder.ledger.value_class import value_class

_SECONDS_DIGITS = 6


@value_class
class Tally:
    """How often polls failed with one cause, and the details of the last of them."""

    cause: Cause
    count: int
    http_status: int | None
    detail: str | None


@value_class
class FailureRun:
    """Consecutive failed polls.

    `tallies` are in the order of each cause's last occurrence. `unpolled_seconds` sums how late the polls
    were made. `missing_polls` counts the consecutive 404s and 410s at the end of the run, the first of which
    was received at `missing_since`.
    """

    attempts: int = 0
    unpolled_seconds: float = 0.0
    tallies: tuple[Tally, ...] = ()
    missing_polls: int = 0
    missing_since: datetime | None = None

    def add(self, failure: Failure, late_seconds: float) -> FailureRun:
        """Return the run with one more failed poll, made `late_seconds` after it was due."""
        before = next((tally.count for tally in self.tallies if tally.cause is failure.cause), 0)
        tally = Tally(failure.cause, before + 1, failure.http_status, failure.detail)
        missing = failure.cause is Cause.NOT_FOUND
        first_missing = self.missing_since or failure.ended_at
        return FailureRun(
            attempts=self.attempts + 1,
            unpolled_seconds=_add_seconds(self.unpolled_seconds, late_seconds),
            tallies=(*(kept for kept in self.tallies if kept.cause is not failure.cause), tally),
            missing_polls=self.missing_polls + 1 if missing else 0,
            missing_since=first_missing if missing else None,
        )

    def late(self, late_seconds: float) -> FailureRun:
        """Return the run with the delay of a poll that did not fail, or was not made at all, added."""
        return replace(self, unpolled_seconds=_add_seconds(self.unpolled_seconds, late_seconds))

    def commonest(self) -> Tally | None:
        """Return the most frequent cause, the last one on a tie; None if no poll failed."""
        return max(reversed(self.tallies), key=lambda tally: tally.count, default=None)

    def cause_over(self, seconds: float) -> Tally | None:
        """Return what a gap of so many seconds is put down to, None if polls were not made for most of it."""
        return None if self.unpolled_seconds > seconds / 2 else self.commonest()


NO_FAILURES = FailureRun()


def _add_seconds(total: float, seconds: float) -> float:
    return round(total + seconds, _SECONDS_DIGITS)
