"""`serve_simulator` in a separate process, stopped by a signal."""

from __future__ import annotations

import signal
import subprocess
import sys

import httpx
import pytest

PROGRAM = """
import asyncio
from recorder.simulator import SimulatorSettings, serve_simulator

def announce(url):
    print(url, flush=True)

asyncio.run(serve_simulator(SimulatorSettings(), announce))
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_announces_its_url_and_exits_cleanly(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with httpx.Client(trust_env=False) as client:
                response = client.post(f"{url}/v1/tasks/groups", headers={"x-api-key": "k"}, json={})
                process.send_signal(number)
                output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert response.status_code == 200
    assert (output, errors, process.returncode) == ("ended\n", "", 0)
