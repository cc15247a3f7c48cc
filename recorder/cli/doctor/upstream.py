"""Checks of the provider: one request, and what its response says about key, address and clock."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from recorder.cli.doctor.check import Check
from recorder.clock import utc_now
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.settings import Settings
from recorder.upstream.client import UpstreamClient
from recorder.upstream.interpret import Exchange, ReceivedResponse, interpret
from recorder.upstream.prefixes import API_VERSIONS, other_prefix
from recorder.upstream.redaction import error_message

MADE_UP_ID = f"tgrp_{'0' * 32}"
"""Polled where no group is watched."""
CLOCK_TOLERANCE = timedelta(seconds=5)
_ANSWERS_ABOUT_AN_ID = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.GONE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""What the provider may say about an id that it does not know."""
_OF_POLLS = re.compile(r"(?P<version>/v1(?:beta)?)(?:/tasks(?:/groups)?)?$|/tasks/groups$", re.ASCII)
"""What polls add to the address, at the end of one that has it already."""
_NO_SUCH_PATH = {"detail": "Not Found"}
"""What web servers such as the provider's say about a path that they do not have."""
_IN_PLACE = "check PARALLEL_BASE_URL, and whether a proxy or a login page answers in the provider's place"


@dataclass(frozen=True, slots=True)
class Asked:
    """The group that is asked for, and whether the provider has returned it before."""

    taskgroup_id: str
    seen_before: bool


def check_address(base_url: str, prefix: str) -> Check:
    """Check that the address has no part of the path that polls add to it."""
    place = f"polls go to {base_url}{prefix}/tasks/groups/ID"
    found = _OF_POLLS.search(urlsplit(base_url).path)
    if found is None or (not prefix and found[0] in API_VERSIONS):
        return Check("address", True, place)
    version = found["version"] or prefix
    instead = "" if version == prefix else f", and set RECORDER_UPSTREAM_PREFIX to {version}"
    return Check("address", False, f"{place}; remove {found[0]} from PARALLEL_BASE_URL{instead}")


async def ask(settings: Settings, api_key: str, asked: Asked) -> list[Check]:
    """Poll one group, under the other prefix too if it is watched and not found; return what that shows."""
    async with UpstreamClient(
        base_url=settings.base_url,
        prefix=settings.upstream_prefix,
        api_key=api_key,
        timeout_seconds=settings.request_timeout,
        max_body_bytes=settings.max_body,
        concurrency=1,
        now=utc_now,
    ) as client:
        exchange = await client.exchange(asked.taskgroup_id, client.prefix)
        outcome, other = interpret(exchange, api_key), other_prefix(client.prefix)
        if asked.taskgroup_id != MADE_UP_ID and other is not None and _is_not_found(outcome):
            elsewhere = await client.poll_under(other, asked.taskgroup_id)
            if isinstance(elsewhere, Observation):
                return [_moved(settings.upstream_prefix, other), *check_clock(exchange)]
    response, usual = exchange.response, _is_usual(settings)
    return [check_answer(outcome, asked, response, usual_address=usual), *check_clock(exchange)]


def _is_usual(settings: Settings) -> bool:
    """Whether the provider's API is known to be where polls go."""
    address = Settings.model_fields["base_url"].default
    return settings.base_url == address and settings.upstream_prefix in API_VERSIONS


def _is_not_found(outcome: Observation | Failure) -> bool:
    return isinstance(outcome, Failure) and outcome.cause is Cause.NOT_FOUND


def _moved(prefix: str, other: str) -> Check:
    return Check(
        "prefix",
        False,
        f"the provider finds groups under {other} and not under {prefix}; "
        f"set RECORDER_UPSTREAM_PREFIX to {other}",
    )


def check_answer(
    outcome: Observation | Failure, asked: Asked, response: ReceivedResponse, *, usual_address: bool = False
) -> Check:
    """Return what the outcome of the poll, and its response, say about key, address and provider.

    At the `usual_address` of the provider's API, what answers is taken for it.
    """
    if isinstance(outcome, Observation):
        return _check_group(outcome, asked)
    detail = outcome.detail
    foreign = _is_foreign(response, usual_address=usual_address)
    if outcome.cause is Cause.UNAUTHORIZED and foreign:
        text = f"what answers rejects it, but not in the provider's words ({detail})"
        return Check("key", False, f"{text}; check PARALLEL_BASE_URL, then PARALLEL_API_KEY")
    if outcome.cause is Cause.UNAUTHORIZED:
        return Check("key", False, f"the provider rejects it ({detail}); set PARALLEL_API_KEY to a valid key")
    if outcome.http_status == HTTPStatus.PAYMENT_REQUIRED:
        return Check("key", False, f"its account has no credit ({detail}); see to that at the provider")
    if outcome.http_status in _ANSWERS_ABOUT_AN_ID and not asked.seen_before and not foreign:
        return Check("provider", True, f"it answers ({detail}); a group that was seen would tell more")
    return Check("provider", False, _what_to_do(outcome, asked, foreign=foreign))


def _check_group(outcome: Observation, asked: Asked) -> Check:
    if outcome.body.value.get("taskgroup_id") == asked.taskgroup_id:
        return Check("provider", True, "it accepts the key and returns the group")
    return Check("provider", False, f"it returns another group than the one that was asked for; {_IN_PLACE}")


def _is_foreign(response: ReceivedResponse, *, usual_address: bool) -> bool:
    """Whether an error is not in the words that the provider's API has for a group."""
    if error_message(response.body) is None:
        return True
    return not usual_address and json.loads(response.body) == _NO_SUCH_PATH


def _what_to_do(failure: Failure, asked: Asked, *, foreign: bool) -> str:
    """Return what a failed poll means, and what to do; `foreign`: no API of the provider's says this."""
    detail = failure.detail
    if failure.http_status in range(300, 400):
        return f"it redirects ({detail}), which polls do not follow; set PARALLEL_BASE_URL to the new address"
    if failure.cause in {Cause.NOT_FOUND, Cause.CLIENT_ERROR} and foreign:
        return (
            f"what answers is not the provider's API, or does not have this path ({detail}); check "
            "PARALLEL_BASE_URL and RECORDER_UPSTREAM_PREFIX"
        )
    if failure.cause is Cause.NOT_FOUND:
        return (
            f"it does not know {asked.taskgroup_id}, which it returned before ({detail}); check "
            "PARALLEL_BASE_URL, RECORDER_UPSTREAM_PREFIX, and whose key PARALLEL_API_KEY is"
        )
    if failure.cause in {Cause.UNREACHABLE, Cause.TIMEOUT}:
        return f"it does not answer ({detail}); check PARALLEL_BASE_URL and the network"
    if failure.cause in {Cause.MALFORMED, Cause.TOO_LARGE}:
        return f"it answers, but not as the provider's API does ({detail}); {_IN_PLACE}"
    return f"it does not return groups now ({failure.cause}: {detail}); ask again later"


def check_clock(exchange: Exchange) -> Iterator[Check]:
    """Compare this machine's clock with the time in the response, if there is one."""
    headers = exchange.response.headers
    try:
        told = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return
    if headers.get("age", "0") != "0":
        return
    offset = _offset(exchange, told if told.tzinfo else told.replace(tzinfo=UTC))
    if abs(offset) <= CLOCK_TOLERANCE:
        yield Check("clock", True, "it agrees with the provider's")
        return
    side = "ahead of" if offset > timedelta() else "behind"
    seconds = abs(offset).total_seconds()
    yield Check(
        "clock",
        False,
        f"this machine's is {seconds:.0f} s {side} the provider's; synchronize it, with NTP for example",
    )


def _offset(exchange: Exchange, told: datetime) -> timedelta:
    """Return how far our clock is ahead; the provider's time is cut to seconds and was read in between."""
    if told > exchange.ended_at:
        return exchange.ended_at - told
    return max(timedelta(), exchange.asked_at - (told + timedelta(seconds=1)))
