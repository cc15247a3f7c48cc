"""The outcome of one poll: the upstream answered (an observation), or it did not (a failure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recorder.ledger.response_body import ResponseBody


class Cause(StrEnum):
    """Why nothing was seen. `not_polled` is the recorder's own doing, the others are what a poll met."""

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


@dataclass(frozen=True, slots=True)
class Observation:
    """A response that says how the group stands: sent at `asked_at`, received at `observed_at`."""

    asked_at: datetime
    observed_at: datetime
    body: ResponseBody


@dataclass(frozen=True, slots=True)
class Failure:
    """A poll that says nothing about the group.

    `ended_at` is when the poll was given up. `detail` is short, printable and free of secrets.
    `retry_after_seconds` is the upstream's own wish, None where it has none.
    """

    asked_at: datetime
    ended_at: datetime
    cause: Cause
    http_status: int | None
    detail: str
    retry_after_seconds: float | None = None


PollOutcome = Observation | Failure
