"""Classification of errors that cannot be caused with a real socket."""

from __future__ import annotations

import errno
import os
import socket

import aiohttp
import httpx
import pytest

from recorder.ledger.poll_outcome import Cause
from recorder.upstream.error_causes import NETWORK_ERRORS, classify


def chained(error: Exception, *causes: Exception) -> Exception:
    """Return `error` as if chained from the first of `causes`, that one from the second, and so on."""
    link: BaseException = error
    for cause in causes:
        link.__cause__ = cause
        link = cause
    return error


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EMFILE])
def test_a_system_error_has_the_operating_systems_description(code: int) -> None:
    error = chained(httpx.ConnectTimeout(""), OSError(code, "driver text"))
    assert classify(error) == (Cause.UNREACHABLE, os.strerror(code).lower())


def test_a_connect_timeout_of_the_operating_system_is_a_timeout() -> None:
    error = chained(httpx.ConnectTimeout(""), TimeoutError(errno.ETIMEDOUT, "driver text"))
    assert classify(error)[0] is Cause.TIMEOUT


@pytest.mark.parametrize(
    ("code", "phrase"),
    [(socket.EAI_NONAME, "name not found"), (socket.EAI_AGAIN, "name lookup failed")],
)
def test_a_failed_lookup_differs_from_an_unknown_name(code: int, phrase: str) -> None:
    error = chained(httpx.ConnectTimeout(""), socket.gaierror(code, "driver text"))
    assert classify(error) == (Cause.UNREACHABLE, phrase)


@pytest.mark.parametrize(
    "error",
    [httpx.ReadError("odd"), httpx.ConnectTimeout("odd"), aiohttp.ClientError("odd"), OSError("odd")],
)
def test_an_unknown_network_error_is_unreachable(error: Exception) -> None:
    assert isinstance(error, NETWORK_ERRORS)
    assert classify(error) == (Cause.UNREACHABLE, "connection failed")


@pytest.mark.parametrize("bug", [TypeError, KeyError, RuntimeError, AssertionError, ValueError])
def test_a_bug_is_not_a_network_error(bug: type[Exception]) -> None:
    assert not issubclass(bug, NETWORK_ERRORS)
