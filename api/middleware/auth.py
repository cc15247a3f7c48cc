"""Access control: with tokens, a request needs one of them; without, its Host must be a loopback name.

A foreign web page can make a local browser send requests to this server through a name that resolves to
this machine (DNS rebinding). Such requests have the page's host name as their Host, and no token.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence

from flask import Flask, Response, g, request

from api.errors import problem
from recorder.tokens import Scope, Token, held

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
OPEN_PATH = "/healthz"
"""Needs no token: it shows only that the server is running."""
PROBED_PATHS = ("/readyz", "/metrics")
"""All that a token of scope `probe` gives access to."""
REALM = "task group recorder"
CHALLENGES = (f'Bearer realm="{REALM}"', f'Basic realm="{REALM}", charset="UTF-8"')
"""Sent to requests without a valid token; browsers choose the second and prompt for a password."""


def register_access(app: Flask, tokens: Sequence[Token]) -> None:
    """Refuse requests to `app` that have none of `tokens`; without tokens, those with a foreign Host."""
    app.before_request(_require_token(tokens) if tokens else _refuse_foreign_hosts)


def _require_token(tokens: Sequence[Token]) -> Callable[[], Response | None]:
    def require_token() -> Response | None:
        if request.path == OPEN_PATH:
            return None
        token = held(tokens, _credentials())
        if token is not None:
            g.token = token
            return None if token.scope is not Scope.PROBE else _refuse_unprobed()
        detail = "send a valid token as Authorization: Bearer, as a Basic password or as x-api-key"
        refusal = problem("unauthorized", detail)
        for challenge in CHALLENGES:
            refusal.headers.add("WWW-Authenticate", challenge)
        return refusal

    return require_token


def sent_token() -> Token | None:
    """Return the token that came with the current request, None without one."""
    token: Token | None = g.get("token")
    return token


def _refuse_unprobed() -> Response | None:
    if request.path in PROBED_PATHS:
        return None
    return problem("insufficient-scope", f"a token of scope probe reads {' and '.join(PROBED_PATHS)} alone")


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
