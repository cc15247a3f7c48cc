"""The mapping from HTTP statuses and network errors to causes. Pure.

A new cause is added to `Cause` and mapped here.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator

import aiohttp
import httpx

from recorder.ledger.poll_outcome import Cause


class PollFailedError(Exception):
    """A poll that yields no usable response: `cause` is the reason, the text describes it for people."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


NETWORK_ERRORS = (
    PollFailedError,
    httpx.HTTPError,
    httpx.InvalidURL,
    aiohttp.ClientError,
    OSError,
    UnicodeError,
)
"""Everything that a request may raise without a bug of ours; an invalid host name raises UnicodeError."""

_STATUS_CAUSES = {
    401: Cause.UNAUTHORIZED,
    403: Cause.UNAUTHORIZED,
    404: Cause.NOT_FOUND,
    410: Cause.NOT_FOUND,
    429: Cause.RATE_LIMITED,
}


def cause_of_status(status: int) -> Cause:
    """Return the cause of a failure with an HTTP status other than 200."""
    if status in _STATUS_CAUSES:
        return _STATUS_CAUSES[status]
    if 300 <= status < 500:
        return Cause.CLIENT_ERROR
    if 500 <= status < 600:
        return Cause.SERVER_ERROR
    return Cause.MALFORMED


def classify(error: BaseException) -> tuple[Cause, str]:
    """Return the cause of a failure by one of NETWORK_ERRORS, and a short description of it.

    The types of httpx are too coarse (it reports a refused connection as ConnectTimeout), so the whole
    chain of `__cause__` is searched for the first kind in _KINDS, from the root outwards.
    """
    if isinstance(error, PollFailedError):
        return error.cause, str(error)
    links = list(_chain(error))[::-1]
    for kind, cause, phrase in _KINDS:
        for link in links:
            if isinstance(link, kind):
                return cause, phrase if isinstance(phrase, str) else phrase(link)
    return Cause.UNREACHABLE, "connection failed"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: certificate verify failed: {error.verify_message}"
    return f"TLS: {(error.reason or 'handshake failed').replace('_', ' ').lower()}"


def _name_lookup(error: socket.gaierror) -> str:
    return "name not found" if error.errno == socket.EAI_NONAME else "name lookup failed"


def _system_error(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else "connection failed"


_KINDS: list[tuple[type[BaseException], Cause, str | Callable[..., str]]] = [
    (ssl.SSLError, Cause.UNREACHABLE, _tls),
    (socket.gaierror, Cause.UNREACHABLE, _name_lookup),
    (TimeoutError, Cause.TIMEOUT, "no complete answer in time"),
    (aiohttp.ClientPayloadError, Cause.UNREACHABLE, "connection closed inside the body"),
    (aiohttp.ServerDisconnectedError, Cause.UNREACHABLE, "connection closed before an answer"),
    (aiohttp.ClientResponseError, Cause.MALFORMED, "the answer is not proper HTTP"),
    (ConnectionRefusedError, Cause.UNREACHABLE, "connection refused"),
    (ConnectionResetError, Cause.UNREACHABLE, "connection reset"),
    (httpx.InvalidURL, Cause.UNREACHABLE, "bad URL"),
    (httpx.UnsupportedProtocol, Cause.UNREACHABLE, "bad URL"),
    (UnicodeError, Cause.UNREACHABLE, "bad URL: not a host name"),
    (OSError, Cause.UNREACHABLE, _system_error),
]
"""An error may be of several kinds; the first in this order is the most specific."""
