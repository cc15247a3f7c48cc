"""Base URLs without a working server, or with one that the client does not trust."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.support.stub_server import OK, Reply, Then, serving, tls_context

Endpoint = Callable[[], AbstractAsyncContextManager[str]]
"""Starts whatever listens at a base URL, and yields the URL."""


@asynccontextmanager
async def connection_refused() -> AsyncIterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def untrusted_certificate() -> AsyncIterator[str]:
    async with serving(OK, tls=tls_context("localhost")) as server:
        yield f"https://localhost:{server.port}"


@asynccontextmanager
async def plain_http() -> AsyncIterator[str]:
    """A server that sends plain HTTP as soon as a client connects."""

    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(speak_first, "127.0.0.1", 0) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def hanging_tls_handshake() -> AsyncIterator[str]:
    async with serving(Reply(b"", Then.HANG)) as server:
        yield server.url.replace("http:", "https:")


def at(base_url: str) -> Endpoint:
    @asynccontextmanager
    async def endpoint() -> AsyncIterator[str]:
        yield base_url

    return endpoint


@asynccontextmanager
async def endpoint_of(upstream: Endpoint | Reply) -> AsyncIterator[str]:
    if isinstance(upstream, Reply):
        async with serving(upstream) as server:
            yield server.url
    else:
        async with upstream() as url:
            yield url
