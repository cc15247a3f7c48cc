"""Who may ask: without tokens, only who addresses this machine by its own names.

A web page of somebody else's can make a browser here ask names that lead here (DNS rebinding); such
requests carry the page's own name as their Host.
"""

from __future__ import annotations

from flask import Flask, Response, request

from api.problems import problem

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def register_access(app: Flask) -> None:
    """Refuse requests to `app` whose Host is not one of this machine's loopback names."""
    app.before_request(_refuse_foreign_hosts)


def _refuse_foreign_hosts() -> Response | None:
    host = request.host
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() in LOOPBACK_HOSTS:
        return None
    return problem("foreign-host", f"this server answers only to the hosts {', '.join(LOOPBACK_HOSTS)}")
