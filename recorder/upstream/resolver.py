"""Host name lookups that do not keep the process alive if a name server does not respond."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from threading import Thread
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

Addresses = list[tuple[Any, ...]]


class Resolver(AbstractResolver):
    """Looks up names with the system's resolver, in a thread that does not keep the process from exiting.

    A lookup cannot be cancelled and may take far longer than a command may take to stop.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host.

        Raises:
            OSError: the host has no address, or the lookup failed.
        """
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in await _lookup(host, port, family)
        ]

    async def close(self) -> None:
        """Do nothing: running lookups end without help."""


async def _lookup(host: str, port: int, family: int) -> Addresses:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Addresses] = loop.create_future()

    def set_outcome(addresses: Addresses | None, error: Exception | None) -> None:
        if found.done():
            return
        if error is None:
            found.set_result(addresses or [])
        else:
            found.set_exception(error)

    def work() -> None:
        addresses = error = None
        try:
            addresses = socket.getaddrinfo(
                host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        except (OSError, UnicodeError) as caught:
            error = caught
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(set_outcome, addresses, error)

    Thread(target=work, name="name lookup", daemon=True).start()
    return await found
