"""The outcome of one poll: the upstream answered (an observation), or it did not (a failure)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from recorder.ledger.response_body import ResponseBody
from recorder.ledger.value_class import value_class


class Cause(StrEnum):
    """Why nothing was seen: `not_polled` if the recorder did not poll, else how polls failed."""

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


@value_class
class Observation:
    """A response with the status of the group: requested at `asked_at`, received at `observed_at`."""

    asked_at: datetime
    observed_at: datetime
    body: ResponseBody


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
