"""The production server, in its own process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from api.server import serve
from recorder.tokens import new_token
from tests.support.postgres import free_port
from tests.support.recording import Recording, active

_SECRET, TOKEN = new_token("ada")
_, OTHER = new_token("bob")
SECRET = _SECRET.encode()
BASIC = b64encode(b"anybody:" + SECRET)
GOOD = [b"Authorization: Bearer " + SECRET, b"Authorization: Basic " + BASIC, b"X-API-Key: " + SECRET]
BAD = [
    [],
    [b"Authorization:"],
    [b"Authorization: Bearer"],
    [b"Authorization: Bearer \xff\xfe"],
    [b"Authorization: Bearer " + SECRET, b"Authorization: Bearer " + SECRET],
    [b"Authorization: Basic"],
    [b"Authorization: Basic \xe4\xe4\xe4\xe4"],
    [b"Authorization: Basic " + b64encode(b"\xff:\xff")],
    [b"Authorization: Basic " + b64encode(b"anybody:")],
    [b"Authorization: Digest username=ada"],
    [b"x-api-key:"],
    [b"x-api-key: \xff"],
    [b"x-api-key: " + SECRET, b"x-api-key: " + SECRET],
]

START_SECONDS = 30
STOP_SECONDS = 10


@contextmanager
def _server(
    database_url: str, folder: Path, **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    code = f"from api.server import serve; serve('127.0.0.1', {port})"
    environment = {**os.environ, "RECORDER_DATABASE_URL": database_url, **settings}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, cwd=folder, stdout=output, stderr=output
        )
    try:
        _wait_until_listening(port, process, log)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {log.read_text()}") from None
            time.sleep(0.05)


def _get(address: str) -> Any:
    with urllib.request.urlopen(address) as response:
        return json.loads(response.read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_responds_and_stops_cleanly(
    database_url: str, recording: Recording, tmp_path: Path, number: signal.Signals
) -> None:
    recording.watch("a b%ü")
    recording.see("a b%ü", 1, active(running=1))
    with _server(database_url, tmp_path) as (process, base):
        group = _get(f"{base}/api/v1/groups/a%20b%25%C3%BC")
        assert (group["taskgroup_id"], group["phase"]) == ("a b%ü", "active")
        assert _get(f"{base}/readyz")["database"]["ok"] is True
        process.send_signal(number)
        assert process.wait(STOP_SECONDS) == 0
    assert (tmp_path / "server.log").read_text() == ""


def _request(base: str, path: str, *headers: bytes) -> tuple[int, bytes]:
    """Send a request with raw header lines; return the status code and the whole response."""
    host, _, port = base.removeprefix("http://").partition(":")
    lines = [f"GET {path} HTTP/1.1".encode(), b"Host: recorder.example", b"Connection: close", *headers]
    with socket.create_connection((host, int(port)), timeout=STOP_SECONDS) as connection:
        connection.sendall(b"\r\n".join([*lines, b"", b""]))
        with connection.makefile("rb") as file:
            response = file.read()
    return int(response.split(b" ")[1]), response


def test_a_token_is_required(database_url: str, tmp_path: Path) -> None:
    with _server(database_url, tmp_path, RECORDER_API_TOKENS=f"{OTHER},{TOKEN}") as (_, base):
        assert _request(base, "/healthz")[0] == 200
        for header in GOOD:
            assert _request(base, "/api/v1/groups", header)[0] == 200, header
        for headers in BAD:
            status, response = _request(base, "/api/v1/groups", *headers)
            assert status == 401, headers
            assert response.count(b"\r\nwww-authenticate: ") == 2
            assert SECRET not in response
    assert (tmp_path / "server.log").read_text() == ""


def test_tokens_are_not_logged_with_errors(database_url: str, engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE watches RENAME TO moved"))
    with _server(database_url, tmp_path, RECORDER_API_TOKENS=str(TOKEN)) as (_, base):
        for header in GOOD:
            status, response = _request(base, "/api/v1/groups", header, b"x-other: " + SECRET)
            assert status >= 500 and SECRET not in response
    log = (tmp_path / "server.log").read_bytes()
    assert b"watches" in log
    assert SECRET not in log and BASIC not in log


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve("127.0.0.1", taken.getsockname()[1])


def test_a_second_server_on_the_same_port_is_refused(database_url: str, tmp_path: Path) -> None:
    with _server(database_url, tmp_path) as (_, base), pytest.raises(OSError, match="in use"):
        serve("127.0.0.1", int(base.rpartition(":")[2]))
