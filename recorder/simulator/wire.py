"""Sending what is no whole answer."""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from aiohttp import web

from recorder.simulator.faults import Broken, Then

_LINGER = struct.Struct("hh" if os.name == "nt" else "ii")


async def break_off(request: web.Request, broken: Broken, stopping: asyncio.Event) -> web.Response:
    """Send what there is to send and end the connection, a hanging one only when the simulator stops."""
    transport = request.transport
    if transport is not None:
        transport.write(broken.data)
        if broken.then is Then.HANG:
            await stopping.wait()
        if broken.then is Then.RESET:
            _reset_on_close(transport)
        transport.close()
    return web.Response()  # aiohttp wants one, and cannot send it any more


def _reset_on_close(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.pack(1, 0))
