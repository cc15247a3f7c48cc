"""The production server of the API."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

if TYPE_CHECKING:
    from flask import Flask

THREADS = 16
"""How many requests are served at once; an export occupies a thread until its client has read it all."""
_STOP_SECONDS = 8
"""How long requests in progress may take after a signal to stop; then their connections are cut."""


def serve(host: str, port: int) -> None:
    """Serve the API in the foreground until SIGINT or SIGTERM, then finish the requests in progress.

    Raises:
        OSError: the port is in use, or the address does not belong to this machine.
    """
    server = Granian(
        "api.wsgi:app",
        address=require_free(host, port),
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        workers_kill_timeout=_STOP_SECONDS,
        log_level=LogLevels.error,
    )
    # Granian's own loader would put the working folder at the front of the worker's import path.
    server.serve(target_loader=_load_app, wrap_loader=False)


def require_free(host: str, port: int) -> str:
    """Return the address of `host`, provided that no other server listens on its `port`.

    Granian binds with SO_REUSEPORT: a second server would start without an error and get some requests.

    Raises:
        OSError: the port is in use, or the address does not belong to this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        if os.name == "posix":
            # Otherwise the port would count as in use for a while after its last server ended.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    return str(address[0])


def _load_app() -> Flask:
    """Create the app in the worker process, the only one that needs Flask."""
    from api.wsgi import app  # noqa: PLC0415

    return app()
