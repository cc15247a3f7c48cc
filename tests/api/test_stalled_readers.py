"""Stalled readers of exports block neither the server nor, once they are gone, other exports."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from api.context import MOST_EXPORTS
from api.server import THREADS
from tests.support.api_client import Client
from tests.support.forker import Forker
from tests.support.postgres import free_port
from tests.support.program import Program, wait_until
from tests.support.recording import Recording, active

EXPORT = "/api/v1/groups/tgrp_1/history?format=ndjson"
LARGE, ENTRIES = 900_000, 40
"""Far more than socket buffers hold."""


@contextmanager
def _stalled(port: int) -> Iterator[None]:
    """Request an export without reading it."""
    with socket.create_connection(("127.0.0.1", port)) as opened:
        opened.sendall(f"GET {EXPORT} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield


def _begun(readers: ExitStack, port: int, version: int) -> http.client.HTTPResponse | None:
    """Request an export with HTTP/1.0 (10) or HTTP/1.1 (11), and receive its beginning; None if refused."""
    connection = readers.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)))
    vars(connection).update(_http_vsn=version, _http_vsn_str=f"HTTP/1.{version - 10}")
    connection.request("GET", EXPORT, headers={"Host": "localhost"})
    response = connection.getresponse()
    return response if response.status == 200 and response.read(1) == b"{" else None


def _status(port: int, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_other_requests_are_served_slots_are_freed_and_exports_end_before_the_server(
    database_url: str, engine: Engine, recording: Recording, tmp_path: Path, forker: Forker
) -> None:
    recording.watch("tgrp_1")
    for number in range(ENTRIES):
        note = chr(ord("A") + number % 26) * LARGE
        recording.see("tgrp_1", 1 + number, active(running=1), metadata={"note": note})
    engine.dispose()
    port = free_port()
    settings = {"RECORDER_DATABASE_URL": database_url, "RECORDER_API_PORT": str(port)}
    with Program(tmp_path, forker, settings).start("serve") as server:
        server.wait_until_it_serves(f"http://127.0.0.1:{port}/healthz")
        with ExitStack() as readers:

            def next_is_refused() -> bool | None:
                readers.enter_context(_stalled(port))
                return _status(port, EXPORT) == 503 or None

            wait_until(next_is_refused, "all slots to be taken")
            assert _status(port, "/healthz") == 200
            assert _status(port, "/api/v1/groups/tgrp_1/status") == 200
        with ExitStack() as readers:
            begin = partial(_begun, readers, port)
            begun = [wait_until(partial(begin, version), "a slot to be freed") for version in (10, 11)]
            server.process.send_signal(signal.SIGTERM)
            for response, protocol in zip(begun, (10, 11), strict=True):
                # Only a length tells a reader of HTTP/1.0 that the response was cut.
                assert (response.version, "Content-Length" in response.headers) == (protocol, protocol == 10)
                assert response.read().count(b"\n") == int(response.headers["X-Total-Items"]) > ENTRIES
        assert server.wait() == 0


def test_exports_cannot_take_all_threads() -> None:
    assert MOST_EXPORTS < THREADS


def test_too_many_exports(app: Flask, client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    with ExitStack() as readers:
        for _ in range(MOST_EXPORTS):
            response = readers.enter_context(app.test_client().get(EXPORT, buffered=False))
            assert response.status_code == 200
        refused = client.get_response(EXPORT, 503)
        assert json.loads(refused.get_data())["type"] == "/docs/problems#too-many-exports"
        assert refused.headers["Retry-After"]
        assert app.test_client().head(EXPORT).status_code == 200
        assert client.get("/api/v1/groups")["items"]
    for _ in range(2 * MOST_EXPORTS):
        assert app.test_client().get(EXPORT).status_code == 200
        client.get_response("/api/v1/groups/nobody/history?format=ndjson", 404)


def test_concurrent_exports_are_complete(app: Flask, recording: Recording) -> None:
    recording.watch("tgrp_1")
    for number in range(50):
        recording.see("tgrp_1", 1 + number, active(running=number + 1))
    complete = app.test_client().get(EXPORT).get_data()
    exports: list[bytes] = []

    def read() -> None:
        exports.append(app.test_client().get(EXPORT).get_data())

    threads = [threading.Thread(target=read) for _ in range(MOST_EXPORTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exports == [complete] * MOST_EXPORTS
    assert complete.count(b"\n") > 50
