"""Access control: with tokens, a request needs one of them; without, its Host must be a loopback name.

A foreign web page can make a local browser send requests to this server through a name that resolves to
this machine (DNS rebinding). Such requests have the page's host name as their Host, and no token.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence

from flask import Flask, Response, request

from api.errors import problem
from recorder.tokens import Token, holder

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
OPEN_PATH = "/healthz"
"""Needs no token: it shows only that the server is running."""
REALM = "task group recorder"
CHALLENGES = (f'Bearer realm="{REALM}"', f'Basic realm="{REALM}", charset="UTF-8"')
"""Sent to requests without a valid token; browsers choose the second and prompt for a password."""


def register_access(app: Flask, tokens: Sequence[Token]) -> None:
    """Refuse requests to `app` that have none of `tokens`; without tokens, those with a foreign Host."""
    app.before_request(_require_token(tokens) if tokens else _refuse_foreign_hosts)


def _require_token(tokens: Sequence[Token]) -> Callable[[], Response | None]:
    def require_token() -> Response | None:
        if request.path == OPEN_PATH or holder(tokens, _credentials()) is not None:
            return None
        detail = "send a valid token as Authorization: Bearer, as a Basic password or as x-api-key"
        refusal = problem("unauthorized", detail)
        for challenge in CHALLENGES:
            refusal.headers.add("WWW-Authenticate", challenge)
        return refusal

    return require_token


def _credentials() -> Iterator[str]:
    """Yield every value that the request may have sent as its token."""
    key = request.headers.get("x-api-key")
    if key is not None:
        yield key.strip()
    scheme, _, rest = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        yield rest.strip()
    elif scheme.lower() == "basic":
        yield _password(rest.strip())


def _password(pair: str) -> str:
    try:
        return b64decode(pair, validate=True).partition(b":")[2].decode()
    except ValueError:
        return ""


def _refuse_foreign_hosts() -> Response | None:
    host = request.host
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() in LOOPBACK_HOSTS:
        return None
    return problem("foreign-host", f"this server accepts only the hosts {', '.join(LOOPBACK_HOSTS)}")
