"""From one exchange with the upstream to the outcome of the poll: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import MalformedBodyError, parse_body
from recorder.upstream.error_causes import cause_of_status
from recorder.upstream.redaction import error_message, plain_detail
from recorder.upstream.retry_after import retry_after_seconds


@dataclass(slots=True)
class Answer:
    """What arrived of a response: nothing (no `status`), its head alone, or all of it."""

    status: int | None = None
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, sent at `asked_at`, and what had come of it at `ended_at`.

    `broken` is what broke it off, a cause and a phrase for people, or None if nothing did.
    """

    asked_at: datetime
    ended_at: datetime
    answer: Answer
    broken: tuple[Cause, str] | None


def interpret(exchange: Exchange, secret: str) -> Observation | Failure:
    """The outcome of a poll. `secret` is kept out of the failure's detail."""
    status = exchange.answer.status
    if status not in (None, 200):
        return _refused(exchange, status, secret)
    if exchange.broken is not None:
        return _broken(exchange, *exchange.broken, secret)
    try:
        body = parse_body(exchange.answer.body)
    except MalformedBodyError as error:
        return _failure(exchange, Cause.MALFORMED, status, str(error), secret)
    return Observation(exchange.asked_at, exchange.ended_at, body)


def _refused(exchange: Exchange, status: int, secret: str) -> Failure:
    """The status says what happened, even if the body after it broke off."""
    answer = exchange.answer
    text = f"{status} {answer.reason}".rstrip()
    message = error_message(answer.body)
    if message is not None:
        text += f": {message}"
    return _failure(exchange, cause_of_status(status), status, text, secret)


def _broken(exchange: Exchange, cause: Cause, text: str, secret: str) -> Failure:
    # A 200 whose body never came whole is no answer, so there its status would mislead.
    faulty_answer = cause in (Cause.MALFORMED, Cause.TOO_LARGE)
    return _failure(exchange, cause, exchange.answer.status if faulty_answer else None, text, secret)


def _failure(exchange: Exchange, cause: Cause, status: int | None, text: str, secret: str) -> Failure:
    wish = None if status is None else retry_after_seconds(exchange.answer.headers, exchange.ended_at)
    return Failure(
        asked_at=exchange.asked_at,
        ended_at=exchange.ended_at,
        cause=cause,
        http_status=status,
        detail=plain_detail(text, secret),
        retry_after_seconds=wish,
    )
