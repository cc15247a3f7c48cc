"""Checks of the provider: one request, and what its response says about key, address and clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from recorder.cli.doctor.check import Check
from recorder.clock import utc_now
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.settings import Settings
from recorder.upstream.client import UpstreamClient
from recorder.upstream.interpret import Exchange, interpret
from recorder.upstream.prefixes import API_VERSIONS, other_prefix

MADE_UP_ID = f"tgrp_{'0' * 32}"
"""Polled where no group is watched."""
CLOCK_TOLERANCE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Asked:
    """The group that is asked for, and whether the provider has returned it before."""

    taskgroup_id: str
    seen_before: bool


def check_address(base_url: str, prefix: str) -> Check:
    """Check that the address and the prefix do not both name the version of the provider's API."""
    place = f"polls go to {base_url}{prefix}/tasks/groups/ID"
    version = next((one for one in API_VERSIONS if urlsplit(base_url).path.endswith(one)), None)
    if version is None or not prefix:
        return Check("address", True, place)
    instead = "" if version == prefix else f", and set RECORDER_UPSTREAM_PREFIX to {version}"
    return Check("address", False, f"{place}; remove {version} from PARALLEL_BASE_URL{instead}")


async def ask(settings: Settings, api_key: str, asked: Asked) -> list[Check]:
    """Poll one group, under the other prefix too if it was seen before and is not found, and return what
    that shows."""
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
        if asked.seen_before and other is not None and _is_not_found(outcome):
            elsewhere = await client.poll_under(other, asked.taskgroup_id)
            if isinstance(elsewhere, Observation):
                return [_moved(settings.upstream_prefix, other), *check_clock(exchange)]
    return [check_answer(outcome, asked), *check_clock(exchange)]


def _is_not_found(outcome: Observation | Failure) -> bool:
    return isinstance(outcome, Failure) and outcome.cause is Cause.NOT_FOUND


def _moved(prefix: str, other: str) -> Check:
    return Check(
        "prefix",
        False,
        f"the provider finds groups under {other} and not under {prefix}; "
        f"set RECORDER_UPSTREAM_PREFIX to {other}",
    )


def check_answer(outcome: Observation | Failure, asked: Asked) -> Check:
    """Return what the outcome of the poll says about the key, the address and the provider."""
    if isinstance(outcome, Observation):
        return Check("provider", True, "it accepts the key and returns the group")
    detail, group = outcome.detail, asked.taskgroup_id
    if outcome.cause is Cause.UNAUTHORIZED:
        return Check("key", False, f"the provider rejects it ({detail}); set PARALLEL_API_KEY to a valid key")
    if outcome.cause in {Cause.NOT_FOUND, Cause.CLIENT_ERROR} and not asked.seen_before:
        return Check("provider", True, f"it answers ({detail}); a group that was seen would tell more")
    if outcome.cause is Cause.NOT_FOUND:
        return Check(
            "provider",
            False,
            f"it does not know {group}, which it returned before ({detail}); check PARALLEL_BASE_URL, "
            "RECORDER_UPSTREAM_PREFIX, and whose key PARALLEL_API_KEY is",
        )
    if outcome.cause in {Cause.UNREACHABLE, Cause.TIMEOUT}:
        return Check(
            "provider", False, f"it does not answer ({detail}); check PARALLEL_BASE_URL and the network"
        )
    return Check(
        "provider", False, f"it does not return groups now ({outcome.cause}: {detail}); ask again later"
    )


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
