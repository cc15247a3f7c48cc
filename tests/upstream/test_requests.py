"""The client's requests and connections, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import string
from datetime import timedelta
from importlib.metadata import version
from urllib.parse import quote, unquote

import pytest

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.upstream import UpstreamClient
from recorder.upstream import http as transport
from tests.support.stub_server import OK, RawServer, Reply, Then, response, serving
from tests.upstream.clients import KEY, NOON, SHORT_TIMEOUT_SECONDS, Clock, client, with_server

HANG = Reply(b"", Then.HANG)

IDS = [
    "tgrp_0123456789abcdef",
    "a b",
    " ",
    "100%",
    "\u00fc",
    "u\u0308",
    "..x",
    "...",
    "%2E%2E",
    "%2e%2e%2f",
    "a?b#c",
    "a%2Fb",
    "\U0001f600",
    "+",
    *string.punctuation.replace("/", "").replace(".", ""),
    string.punctuation.replace("/", ""),
    "\u00fc" * 255,
]


def test_every_id_arrives_intact_and_percent_encoded() -> None:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        for taskgroup_id in IDS:
            assert isinstance(await upstream.poll(taskgroup_id), Observation)
        names = [path.removeprefix("/v1beta/tasks/groups/") for path in server.paths]
        assert [unquote(name, errors="strict") for name in names] == IDS
        assert names == [quote(taskgroup_id, safe="") for taskgroup_id in IDS]

    with_server(scenario, OK)


@pytest.mark.parametrize(
    ("base_path", "prefix", "path"),
    [
        ("", "/v1", "/v1/tasks/groups/g"),
        ("/", "/v1beta/", "/v1beta/tasks/groups/g"),
        ("/proxy/a%2Fb", "/v1", "/proxy/a%2Fb/v1/tasks/groups/g"),
        ("/proxy", "", "/proxy/tasks/groups/g"),
    ],
)
def test_the_path_starts_with_the_base_urls_path_and_the_prefix(
    base_path: str, prefix: str, path: str
) -> None:
    async def scenario() -> None:
        async with serving(OK) as server, client(server.url + base_path, prefix=prefix) as upstream:
            await upstream.poll("g")
            assert server.paths == [path]

    asyncio.run(scenario())


def test_a_request_is_a_plain_get_with_the_key() -> None:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        await upstream.poll("g")
        first, *lines = server.requests[0].decode("ascii").rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert first == "GET /v1beta/tasks/groups/g HTTP/1.1"
        assert headers == {
            "host": f"127.0.0.1:{server.port}",
            "x-api-key": KEY,
            "accept": "application/json",
            "accept-encoding": "identity",
            "cache-control": "no-cache",
            "user-agent": f"task-group-recorder/{version('task-group-recorder')}",
            "connection": "keep-alive",
        }

    with_server(scenario, OK)


def test_asked_at_is_before_the_request_and_observed_at_after_the_whole_body() -> None:
    clock = Clock()
    received = NOON + timedelta(seconds=4)

    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        server.may_reply.clear()
        poll = asyncio.create_task(upstream.poll("g"))
        await server.request_received.acquire()
        clock.time = received
        server.may_reply.set()
        outcome = await poll
        assert isinstance(outcome, Observation)
        assert (outcome.asked_at, outcome.observed_at) == (NOON, received)

    with_server(scenario, OK, now=clock)


@pytest.mark.parametrize("reply", [OK, response("404 Not Found")])
def test_asked_at_is_not_after_the_end_if_the_clock_is_set_back(reply: Reply) -> None:
    clock = Clock()
    earlier = NOON - timedelta(hours=1)

    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        server.may_reply.clear()
        poll = asyncio.create_task(upstream.poll("g"))
        await server.request_received.acquire()
        clock.time = earlier
        server.may_reply.set()
        outcome = await poll
        ended_at = outcome.observed_at if isinstance(outcome, Observation) else outcome.ended_at
        assert (outcome.asked_at, ended_at) == (earlier, earlier)

    with_server(scenario, reply, now=clock)


def test_ended_at_is_when_the_poll_failed() -> None:
    clock = Clock()
    ended = NOON + timedelta(seconds=4)

    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        server.may_reply.clear()
        poll = asyncio.create_task(upstream.poll("g"))
        await server.request_received.acquire()
        clock.time = ended
        server.may_reply.set()
        assert await poll == Failure(NOON, ended, Cause.SERVER_ERROR, 500, "500 Internal Server Error", 60.0)

    date = "Retry-After: Tue, 24 Nov 2026 12:01:04 GMT"
    with_server(scenario, response("500 Internal Server Error", b"", date), now=clock)


@pytest.mark.parametrize("location", ["/elsewhere", "http://[", "http://127.0.0.1:x/", "\xff", ""])
def test_a_redirect_is_not_followed(location: str) -> None:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        outcome = await upstream.poll("g")
        assert outcome == Failure(NOON, NOON, Cause.CLIENT_ERROR, 302, "302 Found")
        assert len(server.requests) == 1

    with_server(scenario, response("302 Found", b"", f"Location: {location}"), OK)


def test_cookies_are_not_sent_back() -> None:
    async def scenario() -> None:
        cookie = response("200 OK", {"status": {}}, "Set-Cookie: session=1; Path=/")
        async with serving(cookie) as server, client(f"http://localhost:{server.port}") as upstream:
            await upstream.poll("g")
            await upstream.poll("g")
            assert b"cookie" not in server.requests[1].lower()

    asyncio.run(scenario())


def test_proxies_in_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:1")

    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        assert isinstance(await upstream.poll("g"), Observation)

    with_server(scenario, OK)


def test_one_connection_serves_many_polls_including_failed_ones() -> None:
    replies = [OK, response("503 Service Unavailable", b"<html>"), response("200 OK", b"{}"), OK]

    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        for _ in range(20):
            await upstream.poll("g")
        assert (server.connections, len(server.requests)) == (1, 20)

    with_server(scenario, *replies)


def test_a_connection_closed_while_idle_is_replaced() -> None:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        for _ in range(3):
            assert isinstance(await upstream.poll("g"), Observation)
            await server.connection_closed.acquire()
        assert (server.connections, len(server.requests)) == (3, 3)

    with_server(scenario, Reply(OK.data, Then.CLOSE))


def test_an_idle_connection_is_closed_before_the_server_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "IDLE_SECONDS", 0.1)

    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        assert isinstance(await upstream.poll("g"), Observation)
        await server.connection_closed.acquire()
        assert isinstance(await upstream.poll("g"), Observation)
        assert server.connections == 2

    with_server(scenario, OK)


@pytest.mark.parametrize(
    ("then", "detail"),
    [(Then.CLOSE, "connection closed before an answer"), (Then.RESET, "connection reset")],
)
def test_one_poll_is_one_request_even_if_a_reused_connection_breaks(then: Then, detail: str) -> None:
    """The server may have received the request, so the poll fails and is not retried."""

    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        assert isinstance(await upstream.poll("g"), Observation)
        assert await upstream.poll("g") == Failure(NOON, NOON, Cause.UNREACHABLE, None, detail)
        assert (server.connections, len(server.requests)) == (1, 2)
        assert isinstance(await upstream.poll("g"), Observation)
        assert (server.connections, len(server.requests)) == (2, 3)

    with_server(scenario, OK, Reply(b"", then), OK)


def test_waiting_for_a_free_slot_does_not_count_towards_the_timeout() -> None:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        hanging = asyncio.create_task(upstream.poll("g"))
        await server.request_received.acquire()
        waiting = asyncio.create_task(upstream.poll("g"))
        outcome = await hanging
        assert isinstance(outcome, Failure)
        assert outcome.cause is Cause.TIMEOUT
        assert isinstance(await waiting, Observation)

    with_server(scenario, HANG, OK, concurrency=1, timeout_seconds=SHORT_TIMEOUT_SECONDS)


def test_polls_run_concurrently_up_to_the_limit() -> None:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        server.may_reply.clear()
        polls = [asyncio.create_task(upstream.poll("g")) for _ in range(6)]
        for _ in range(3):
            await server.request_received.acquire()
        server.may_reply.set()
        outcomes = await asyncio.gather(*polls)
        assert all(isinstance(outcome, Observation) for outcome in outcomes)
        assert server.connections == 3

    with_server(scenario, OK, concurrency=3)


def test_cancelling_a_poll_lets_the_next_one_start() -> None:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        poll = asyncio.create_task(upstream.poll("g"))
        await server.request_received.acquire()
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll
        assert isinstance(await upstream.poll("g"), Observation)

    with_server(scenario, HANG, OK, concurrency=1)


def test_a_closed_client_refuses_to_poll() -> None:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        await upstream.aclose()
        with pytest.raises(RuntimeError):
            await upstream.poll("g")

    with_server(scenario, OK)


def test_closing_leaves_no_connection_open() -> None:
    async def scenario(server: RawServer, upstream: UpstreamClient) -> None:
        for _ in range(3):
            await upstream.poll("g")
        await upstream.aclose()
        gc.collect()  # anything left open would warn here, and a warning is an error

    with_server(scenario, OK, HANG, OK, timeout_seconds=SHORT_TIMEOUT_SECONDS)


def test_a_client_can_be_created_outside_a_loop_and_closed_unused() -> None:
    asyncio.run(client("http://127.0.0.1:1").aclose())
