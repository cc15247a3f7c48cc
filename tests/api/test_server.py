"""The production server, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.server import serve
from tests.api.recording import Recording, active
from tests.postgres import free_port

START_SECONDS = 30
STOP_SECONDS = 10


@contextmanager
def _server(database_url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    code = f"from api.server import serve; serve('127.0.0.1', {port})"
    environment = {**os.environ, "RECORDER_DATABASE_URL": database_url}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, cwd=folder, stdout=output, stderr=output
        )
    try:
        _wait_until_it_listens(port, process, log)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
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
def test_the_server_answers_and_ends_cleanly(
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


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve("127.0.0.1", taken.getsockname()[1])


def test_a_second_server_on_the_port_is_refused(database_url: str, tmp_path: Path) -> None:
    with _server(database_url, tmp_path) as (_, base), pytest.raises(OSError, match="in use"):
        serve("127.0.0.1", int(base.rpartition(":")[2]))
