"""`recorder serve`: serves the API on a port of its own until a signal."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request

import pytest

from tests.support.postgres import free_port
from tests.support.program import Program, alive, answers


@pytest.mark.parametrize(
    ("database_url", "number"),
    [("sqlite", signal.SIGTERM), ("postgresql", signal.SIGINT)],
    indirect=["database_url"],
)
def test_it_serves_until_a_signal(program: Program, number: signal.Signals) -> None:
    program.ok("watch", "--exact", "one")
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with program.using(RECORDER_API_PORT=str(port)).start("serve") as server:
        server.wait_until_it_serves(f"{base}/healthz")
        assert base in server.wait_for("API at")
        with urllib.request.urlopen(f"{base}/api/v1/groups") as answer:
            assert [group["taskgroup_id"] for group in json.loads(answer.read())["items"]] == ["one"]
        second = program.using(RECORDER_API_PORT=str(port)).run("serve")
        assert (second.status, len(second.complaints)) == (1, 1)
        assert str(port) in second.err
        workers = server.descendants()
        assert server.stop(number) == 0
    assert not answers(f"{base}/healthz")
    assert [pid for pid in workers if alive(pid)] == []


def test_a_port_in_use_is_reported_in_one_line(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = program.using(RECORDER_API_PORT=str(port)).run("serve")
    assert str(port) in result.complaint()
    assert "RECORDER_API_PORT" in result.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_server_that_is_killed_leaves_no_process_on_the_port(program: Program) -> None:
    port = free_port()
    with program.using(RECORDER_API_PORT=str(port)).start("serve") as server:
        server.wait_until_it_serves(f"http://127.0.0.1:{port}/healthz")
        with server.leaving_no_processes():
            server.process.kill()
            server.wait()


def test_invalid_tokens_are_refused_and_not_printed(program: Program) -> None:
    result = program.using(RECORDER_API_TOKENS="ada:0123").run("serve")
    line = result.complaint(2)
    assert "RECORDER_API_TOKENS" in line and "recorder token" in line
    assert "0123" not in line


def test_serving_other_machines_requires_tokens(program: Program) -> None:
    line = program.using(RECORDER_API_HOST="0.0.0.0").run("serve").complaint(2)
    assert "RECORDER_API_HOST" in line and "RECORDER_API_TOKENS" in line and "recorder token NAME" in line


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_token_is_required_if_one_is_set(program: Program) -> None:
    result = program.run("token", "ada")
    secret, token = result.out.splitlines()
    assert result.status == 0 and secret not in result.err
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    guarded = program.using(RECORDER_API_PORT=str(port), RECORDER_API_TOKENS=token)
    with guarded.start("serve") as server:
        server.wait_until_it_serves(f"{base}/healthz")
        request = urllib.request.Request(f"{base}/api/v1/groups", headers={"x-api-key": secret})
        with urllib.request.urlopen(request) as answer:
            assert json.loads(answer.read())["items"] == []
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{base}/api/v1/groups")
        assert server.stop() == 0
        assert secret not in server.printed


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_host_can_be_localhost(program: Program) -> None:
    program.ok("watch", "--exact", "one")
    port = free_port()
    local = program.using(RECORDER_API_PORT=str(port), RECORDER_API_HOST="localhost")
    with local.start("serve") as server:
        server.wait_until_it_serves(f"http://localhost:{port}/healthz")
        assert server.stop() == 0
