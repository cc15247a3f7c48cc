"""The outcome of one poll: the upstream answered (an observation), or it did not (a failure)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from recorder.ledger.response_body import ResponseBody
from recorder.ledger.value_class import value_class


class Cause(StrEnum):
    """Why nothing was seen: `not_polled` if the recorder did not poll, else how polls failed.

    `stale`: a cache answered, with nothing newer than what was last seen.
    """

    NOT_POLLED = "not_polled"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    STALE = "stale"


@value_class
class Observation:
    """A response with the status of the group: requested at `asked_at`, received at `received_at`.

    `age` is how long before that it was given; it is 0 unless the response came from a cache.
    """

    asked_at: datetime
    received_at: datetime
    body: ResponseBody
    age: timedelta = timedelta()

    @property
    def observed_at(self) -> datetime:
        """When the response was given: the group is seen as of then."""
        return self.received_at - self.age

    @property
    def last_asked_at(self) -> datetime:
        """A time before the response was given: when it was requested, unless it is older than that."""
        return self.asked_at if self.asked_at <= self.observed_at else self.asked_at - self.age


@value_class
class Failure:
    """A poll without a status of the group.

    `ended_at` is when the poll ended. `detail` is short, printable and free of secrets.
    `retry_after_seconds` is the delay that the upstream asked for, None if it did not.
    """

    asked_at: datetime
    ended_at: datetime
    cause: Cause
    http_status: int | None
    detail: str
    retry_after_seconds: float | None = None


PollOutcome = Observation | Failure
