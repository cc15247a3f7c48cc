"""The production server of the API."""

from __future__ import annotations

import os
import socket

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

THREADS = 16
"""How many requests are answered at once; an export takes one for as long as its reader does."""
_STOP_SECONDS = 3


def serve(host: str, port: int) -> None:
    """Serve the API in the foreground until SIGINT or SIGTERM; requests at work are finished.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    Granian(
        "api.wsgi:app",
        factory=True,
        address=require_free(host, port),
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        workers_kill_timeout=_STOP_SECONDS,
        log_level=LogLevels.error,
    ).serve()


def require_free(host: str, port: int) -> str:
    """Return the address that `host` is, unless another server has it: ours would share it, and the two
    split the requests.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        if os.name == "posix":
            # Without it a port counts as taken for a while after its last server ended.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    return str(address[0])
