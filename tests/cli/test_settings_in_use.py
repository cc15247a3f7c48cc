"""A command checks the settings that it uses, and takes values as other programs hand them over."""

from __future__ import annotations

import pytest

from tests.support.program import KEY, Program

SERVICE_PORT = "tcp://10.96.12.34:8000"
"""What Kubernetes puts into RECORDER_API_PORT when a Service is called recorder-api."""


@pytest.fixture
def in_kubernetes(program: Program) -> Program:
    return program.using(
        RECORDER_API_PORT=SERVICE_PORT,
        RECORDER_API_SERVICE_HOST="10.96.12.34",
        RECORDER_API_SERVICE_PORT="8000",
        RECORDER_API_PORT_8000_TCP_ADDR="10.96.12.34",
        PARALLEL_API_KEY=KEY,
        PARALLEL_BASE_URL="http://127.0.0.1:1",
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_commands_that_serve_nothing_do_not_mind_the_port(in_kubernetes: Program) -> None:
    in_kubernetes.ok("watch", "--exact", "a")
    for command in ("groups", "completion", "verify", "export", "checkpoint"):
        assert in_kubernetes.run(command).status == 0
    in_kubernetes.ok("history", "a")
    in_kubernetes.ok("pause", "a")
    in_kubernetes.ok("db", "check")
    assert in_kubernetes.run("run", "--once").status == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("command", ["serve", "up"])
def test_commands_that_serve_say_where_it_comes_from(in_kubernetes: Program, command: str) -> None:
    line = in_kubernetes.run(command).complaint(status=2)
    assert line == (
        f"Error: RECORDER_API_PORT: '{SERVICE_PORT}' looks like a variable that Kubernetes sets "
        "for a Service: rename the Service, or set enableServiceLinks: false; "
        "allowed: a port number from 1 to 65535"
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_several_settings_that_a_command_does_not_use(program: Program) -> None:
    program = program.using(
        RECORDER_RATE="fast",
        RECORDER_LEASE="1",
        RECORDER_API_HOST="0.0.0.0",
        RECORDER_CHECKPOINT_DIR="/nowhere",
        PARALLEL_API_KEY=f"{KEY} {KEY}",
    )
    program.ok("watch", "--exact", "a")
    program.ok("groups")
    result = program.run("up")
    assert result.status == 2
    assert sorted(line.removeprefix("Error: ").partition(":")[0] for line in result.complaints) == [
        "PARALLEL_API_KEY",
        "RECORDER_API_HOST",
        "RECORDER_CHECKPOINT_DIR",
        "RECORDER_LEASE",
        "RECORDER_RATE",
    ]
