"""Turning one exchange with the upstream into the outcome of the poll. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import MalformedBodyError, parse_body
from recorder.upstream.age import age_of
from recorder.upstream.error_causes import cause_of_status
from recorder.upstream.redaction import error_message, plain_detail
from recorder.upstream.retry_after import retry_after_seconds


@dataclass(slots=True)
class ReceivedResponse:
    """The part of a response that arrived: nothing (no `status`), only the head, or all of it."""

    status: int | None = None
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request sent at `asked_at`, and the response received by `ended_at`.

    `interruption` is what cut the exchange short: a cause and a description, or None.
    """

    asked_at: datetime
    ended_at: datetime
    response: ReceivedResponse
    interruption: tuple[Cause, str] | None


def interpret(exchange: Exchange, secret: str) -> Observation | Failure:
    """Return the outcome of a poll. `secret` is kept out of the detail of a failure."""
    status = exchange.response.status
    if status not in (None, 200):
        return _bad_status(exchange, status, secret)
    if exchange.interruption is not None:
        return _interrupted(exchange, *exchange.interruption, secret)
    try:
        body = parse_body(exchange.response.body)
    except MalformedBodyError as error:
        return _failure(exchange, Cause.MALFORMED, status, str(error), secret)
    return Observation(exchange.asked_at, exchange.ended_at, body, age_of(exchange.response.headers))


def _bad_status(exchange: Exchange, status: int, secret: str) -> Failure:
    """The status determines the cause, even if the body was cut short."""
    response = exchange.response
    text = f"{status} {response.reason}".rstrip()
    message = error_message(response.body)
    if message is not None:
        text += f": {message}"
    return _failure(exchange, cause_of_status(status), status, text, secret)


def _interrupted(exchange: Exchange, cause: Cause, text: str, secret: str) -> Failure:
    # A status of 200 would mislead if the body never arrived completely.
    has_status = cause in (Cause.MALFORMED, Cause.TOO_LARGE)
    return _failure(exchange, cause, exchange.response.status if has_status else None, text, secret)


def _failure(exchange: Exchange, cause: Cause, status: int | None, text: str, secret: str) -> Failure:
    retry_after = (
        None if status is None else retry_after_seconds(exchange.response.headers, exchange.ended_at)
    )
    return Failure(
        asked_at=exchange.asked_at,
        ended_at=exchange.ended_at,
        cause=cause,
        http_status=status,
        detail=plain_detail(text, secret),
        retry_after_seconds=retry_after,
    )
