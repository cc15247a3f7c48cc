"""A server that sends raw bytes, for responses that no HTTP library would produce."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

import trustme


class Then(Enum):
    """What the server does with the connection after a reply; DRIP sends spaces, one per chunk."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"
    DRIP = "drip"


@dataclass(frozen=True)
class Reply:
    data: bytes
    then: Then = Then.CLOSE


GROUP: dict[str, Any] = {
    "taskgroup_id": "tgrp_1",
    "metadata": None,
    "created_at": "2026-11-24T12:16:00Z",
    "status": {
        "num_task_runs": 1,
        "task_run_status_counts": {"running": 1},
        "is_active": True,
        "status_message": None,
        "modified_at": "2026-11-24T12:16:00Z",
    },
}


def response(status: str, body: Any = b"", *headers: str, then: Then = Then.KEEP) -> Reply:
    """A well-formed response; a body other than bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}", *headers]
    return Reply("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + raw, then)


OK = response("200 OK", GROUP)


class RawServer:
    """Sends its replies in order, repeating the last one, and keeps the requests.

    `request_received` can be acquired once per request, and `connection_closed` once per connection that
    both sides have closed; replies wait for `may_reply`.
    """

    def __init__(self, replies: Sequence[Reply]) -> None:
        self._replies = replies
        self._stopping = asyncio.Event()
        self.requests: list[bytes] = []
        self.connections = 0
        self.request_received = asyncio.Semaphore(0)
        self.connection_closed = asyncio.Semaphore(0)
        self.may_reply = asyncio.Event()
        self.may_reply.set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [request.split(b" ")[1].decode("ascii") for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        then = Then.KEEP
        with suppress(ConnectionError):
            with suppress(asyncio.IncompleteReadError):  # closed by the client
                while then is Then.KEEP:
                    then = await self._serve_one(reader, writer)
            if then is Then.CLOSE:
                writer.write_eof()
                await reader.read()
        self.connection_closed.release()
        writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Then:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        reply = self._replies[min(len(self.requests), len(self._replies)) - 1]
        self.request_received.release()
        await self.may_reply.wait()
        writer.write(reply.data)
        await writer.drain()
        if reply.then is Then.HANG:
            await self._stopping.wait()
        while reply.then is Then.DRIP and not self._stopping.is_set():
            await asyncio.sleep(0.01)
            writer.write(b"1\r\n \r\n")
            await writer.drain()
        if reply.then is Then.RESET:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return reply.then

    def shut_down(self) -> None:
        self._stopping.set()
        self.may_reply.set()


def tls_context(*names: str, authority: trustme.CA | None = None) -> ssl.SSLContext:
    """A server's TLS context with a certificate for these names, from an unknown authority by default."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    (authority or trustme.CA()).issue_cert(*names).configure_cert(tls)
    return tls


@asynccontextmanager
async def serving(*replies: Reply, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    raw = RawServer(replies)
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        await raw.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        raw.shut_down()
        if handlers:
            await asyncio.wait(handlers)
