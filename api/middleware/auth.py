"""Who may ask: with tokens, who sends one; without, only who addresses this machine by its own names.

A web page of somebody else's can make a browser here ask names that lead here (DNS rebinding); such
requests carry the page's own name as their Host, and no token.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence

from flask import Flask, Response, request

from api.errors import problem
from recorder.tokens import Token, holder

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
OPEN_PATH = "/healthz"
"""Says nothing but that the server answers."""
REALM = "task group recorder"
CHALLENGES = (f'Bearer realm="{REALM}"', f'Basic realm="{REALM}", charset="UTF-8"')
"""What a request without a valid token is offered; browsers take the second and ask for a password."""


def register_access(app: Flask, tokens: Sequence[Token]) -> None:
    """Refuse requests to `app` without one of the tokens; without any tokens, those with a foreign Host."""
    app.before_request(_demand_one_of(tokens) if tokens else _refuse_foreign_hosts)


def _demand_one_of(tokens: Sequence[Token]) -> Callable[[], Response | None]:
    def demand_token() -> Response | None:
        if request.path == OPEN_PATH or holder(tokens, _credentials()) is not None:
            return None
        words = "send a valid token: as Authorization: Bearer, as a Basic password, or as x-api-key"
        refusal = problem("unauthorized", words)
        for challenge in CHALLENGES:
            refusal.headers.add("WWW-Authenticate", challenge)
        return refusal

    return demand_token


def _credentials() -> Iterator[str]:
    """Yield what the request may have as its token."""
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
    return problem("foreign-host", f"this server answers only to the hosts {', '.join(LOOPBACK_HOSTS)}")
