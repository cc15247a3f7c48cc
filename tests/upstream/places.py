"""Addresses without a working server, or without one that the client trusts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.support.stub_server import OK, Reply, Then, certified, serving

Place = Callable[[], AbstractAsyncContextManager[str]]
"""An address to poll; yields its base URL."""


@asynccontextmanager
async def nobody_listens() -> AsyncIterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def nobody_vouches() -> AsyncIterator[str]:
    async with serving(OK, tls=certified("localhost")) as server:
        yield f"https://localhost:{server.port}"


@asynccontextmanager
async def no_tls() -> AsyncIterator[str]:
    """A server that sends plain HTTP as soon as a client connects."""

    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(speak_first, "127.0.0.1", 0) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def tls_never_answers() -> AsyncIterator[str]:
    async with serving(Reply(b"", Then.HANG)) as server:
        yield server.url.replace("http:", "https:")


def at(base_url: str) -> Place:
    @asynccontextmanager
    async def place() -> AsyncIterator[str]:
        yield base_url

    return place


@asynccontextmanager
async def place_of(upstream: Place | Reply) -> AsyncIterator[str]:
    if isinstance(upstream, Reply):
        async with serving(upstream) as server:
            yield server.url
    else:
        async with upstream() as url:
            yield url
