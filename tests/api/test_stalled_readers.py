"""Readers of exports that stall: they take places, and neither the server nor a place for ever."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from api.context import MOST_EXPORTS
from api.server import THREADS
from tests.support.api_client import Client
from tests.support.postgres import free_port
from tests.support.program import Program, wait_until
from tests.support.recording import Recording, active

EXPORT = "/api/v1/groups/tgrp_1/history?format=ndjson"
LARGE, ENTRIES = 900_000, 40
"""Far more than sockets hold on their way."""


@contextmanager
def _stalled(port: int) -> Iterator[None]:
    """Ask for an export, and do not read it."""
    with socket.create_connection(("127.0.0.1", port)) as opened:
        opened.sendall(f"GET {EXPORT} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield


def _status(port: int, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_others_are_answered_and_places_are_given_back(
    database_url: str, engine: Engine, recording: Recording, tmp_path: Path
) -> None:
    recording.watch("tgrp_1")
    for number in range(ENTRIES):
        note = chr(ord("A") + number % 26) * LARGE
        recording.see("tgrp_1", 1 + number, active(running=1), metadata={"note": note})
    engine.dispose()
    port = free_port()
    settings = {"RECORDER_DATABASE_URL": database_url, "RECORDER_API_PORT": str(port)}
    with Program(tmp_path, settings=settings).start("serve") as server:
        server.wait_until_it_serves(f"http://127.0.0.1:{port}/healthz")
        with ExitStack() as readers:

            def one_more_is_refused() -> bool | None:
                readers.enter_context(_stalled(port))
                return _status(port, EXPORT) == 503 or None

            wait_until(one_more_is_refused, "all places to be taken")
            assert _status(port, "/healthz") == 200
            assert _status(port, "/api/v1/groups/tgrp_1/status") == 200
        wait_until(lambda: _status(port, EXPORT) == 200 or None, "a place to be given back")
        assert server.stop() == 0


def test_there_is_always_a_thread_for_others() -> None:
    assert MOST_EXPORTS < THREADS


def test_a_refused_export_says_so(app: Flask, client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    with ExitStack() as readers:
        for _ in range(MOST_EXPORTS):
            answer = readers.enter_context(app.test_client().get(EXPORT, buffered=False))
            assert answer.status_code == 200
        refused = client.answer(EXPORT, 503)
        assert json.loads(refused.get_data())["type"] == "/docs/problems#too-many-exports"
        assert refused.headers["Retry-After"]
        assert app.test_client().head(EXPORT).status_code == 200
        assert client.get("/api/v1/groups")["items"]
    for _ in range(2 * MOST_EXPORTS):
        assert app.test_client().get(EXPORT).status_code == 200
        client.answer("/api/v1/groups/nobody/history?format=ndjson", 404)


def test_exports_at_once_are_whole(app: Flask, recording: Recording) -> None:
    recording.watch("tgrp_1")
    for number in range(50):
        recording.see("tgrp_1", 1 + number, active(running=number + 1))
    whole = app.test_client().get(EXPORT).get_data()
    found: list[bytes] = []

    def read() -> None:
        found.append(app.test_client().get(EXPORT).get_data())

    threads = [threading.Thread(target=read) for _ in range(MOST_EXPORTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [whole] * MOST_EXPORTS
    assert whole.count(b"\n") > 50
