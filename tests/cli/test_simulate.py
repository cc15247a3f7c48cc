"""`recorder simulate`: a simulated upstream for experiments."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request

import pytest

from tests.support.program import Program


def request_status(url: str, body: bytes | None = None) -> int:
    request = urllib.request.Request(url, body, {"x-api-key": "any", "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_and_serves_until_a_signal(bare: Program, number: signal.Signals) -> None:
    options = ["--seed", "3", "--speed", "20", "--outage", "0-600:503", "--log", "requests.log"]
    with bare.start("simulate", "--port", "0", *options) as simulator:
        url = simulator.wait_for("simulated upstream at").split()[-1]
        assert request_status(f"{url}/v1beta/tasks/groups", b"{}") == 200
        assert request_status(f"{url}/v1/tasks/groups/any") == 503
        assert simulator.stop(number) == 0
        assert simulator.printed == f"simulated upstream at {url}\n"
    log = bare.folder.joinpath("requests.log").read_text().splitlines()
    assert [json.loads(line)["status"] for line in log] == [200, 503]


def test_a_port_in_use_is_reported_in_one_line(bare: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert port in bare.run("simulate", "--port", port).complaint()


def test_a_log_that_cannot_be_written_is_named(bare: Program) -> None:
    assert "no/such/folder" in bare.run("simulate", "--port", "0", "--log", "no/such/folder/log").complaint()
