"""`recorder serve`: it answers, keeps its port to itself, and ends by a signal."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request

import pytest

from tests.cli.program import Program, alive, answers
from tests.postgres import free_port


@pytest.mark.parametrize(
    ("database_url", "number"),
    [("sqlite", signal.SIGTERM), ("postgresql", signal.SIGINT)],
    indirect=["database_url"],
)
def test_it_answers_until_a_signal(program: Program, number: signal.Signals) -> None:
    program.ok("watch", "one")
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


def test_a_port_that_is_taken_is_one_line(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = program.using(RECORDER_API_PORT=str(port)).run("serve")
    assert str(port) in result.complaint()
    assert "RECORDER_API_PORT" in result.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_server_that_is_killed_leaves_no_process_on_the_port(program: Program) -> None:
    port = free_port()
    with program.using(RECORDER_API_PORT=str(port)).start("serve") as server:
        server.wait_until_it_serves(f"http://127.0.0.1:{port}/healthz")
        with server.outlived_by_none():
            server.process.kill()
            server.wait()


def test_tokens_that_would_protect_nothing_are_refused(program: Program) -> None:
    result = program.using(RECORDER_API_TOKENS="ada:0123").run("serve")
    assert "RECORDER_API_TOKENS" in result.complaint(2)
