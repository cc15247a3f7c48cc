"""Clients to test, and a manual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from recorder.ledger.poll_outcome import Failure, Observation
from recorder.upstream import UpstreamClient
from tests.support.stub_server import RawServer, Reply, serving

KEY = "sk-very-secret-0123456789"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MAX_BODY_BYTES = 2000
LONG_TIMEOUT_SECONDS = 30.0
SHORT_TIMEOUT_SECONDS = 0.3


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


def client(base_url: str, **changes: Any) -> UpstreamClient:
    settings: dict[str, Any] = {
        "base_url": base_url,
        "prefix": "/v1beta",
        "api_key": KEY,
        "timeout_seconds": LONG_TIMEOUT_SECONDS,
        "max_body_bytes": MAX_BODY_BYTES,
        "concurrency": 10,
        "now": Clock(),
    }
    return UpstreamClient(**(settings | changes))


def poll_once(base_url: str, **changes: Any) -> Observation | Failure:
    async def scenario() -> Observation | Failure:
        async with client(base_url, **changes) as upstream:
            return await upstream.poll("tgrp_1")

    return asyncio.run(scenario())


def with_server(
    scenario: Callable[[RawServer, UpstreamClient], Awaitable[Any]], *replies: Reply, **changes: Any
) -> Any:
    """Run `scenario` with a server that sends `replies`, and a client for that server."""

    async def run() -> Any:
        async with serving(*replies) as server, client(server.url, **changes) as upstream:
            async with asyncio.timeout(2 * LONG_TIMEOUT_SECONDS):
                return await scenario(server, upstream)

    return asyncio.run(run())


def outcome_of(reply: Reply, **changes: Any) -> Observation | Failure:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> Observation | Failure:
        return await upstream.poll("tgrp_1")

    outcome: Observation | Failure = with_server(scenario, reply, **changes)
    return outcome


def failure_of(reply: Reply, **changes: Any) -> Failure:
    outcome = outcome_of(reply, **changes)
    assert isinstance(outcome, Failure)
    return outcome
