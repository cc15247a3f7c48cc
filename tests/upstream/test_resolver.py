"""An unresponsive name server affects only the poll that needs it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from tests.support.stub_server import OK, serving
from tests.upstream.clients import LONG_TIMEOUT_SECONDS, NOON, SHORT_TIMEOUT_SECONDS, client, poll_once


@pytest.fixture
def lookup_returned(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Make lookups hang until the end of the test; the event is set once one returns."""
    release, lookup_returned = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        release.wait(LONG_TIMEOUT_SECONDS)
        lookup_returned.set()
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield lookup_returned
    release.set()
    assert lookup_returned.wait(LONG_TIMEOUT_SECONDS)


def test_a_hanging_lookup_is_a_timeout_and_does_not_keep_the_program_alive(
    lookup_returned: threading.Event,
) -> None:
    outcome = poll_once("http://localhost", timeout_seconds=SHORT_TIMEOUT_SECONDS)
    assert outcome == Failure(NOON, NOON, Cause.TIMEOUT, None, "no complete answer in time")
    assert not lookup_returned.is_set()


def test_all_addresses_of_a_name_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        async with serving(OK) as server, client(f"http://two-addresses.invalid:{server.port}") as upstream:
            kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            addresses = [(*kind, (host, server.port)) for host in ("127.0.0.2", "127.0.0.1")]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
            assert isinstance(await upstream.poll("g"), Observation)
            monkeypatch.undo()

    asyncio.run(scenario())
