"""`recorder up`: one command that upgrades, records and serves, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.postgres import free_port
from tests.support.program import QUICK, Program, Running, alive, answers
from tests.support.scripted_upstream import Upstream

ON_SQLITE = pytest.mark.parametrize("blank_database_url", ["sqlite"], indirect=True)


@contextmanager
def up(program: Program, upstream: Upstream) -> Iterator[tuple[Running, str]]:
    """Run `recorder up` until it records and serves; yield it and the API's URL."""
    port = free_port()
    program = program.using(**QUICK, **upstream.settings, RECORDER_API_PORT=str(port))
    with program.start("up") as running:
        base = f"http://127.0.0.1:{port}"
        running.wait_until_it_serves(f"{base}/healthz")
        running.wait_for("recording")
        yield running, base


def groups(base: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{base}/api/v1/groups") as answer:
        return {group["taskgroup_id"]: group for group in json.loads(answer.read())["items"]}


def require_all_ended(pids: list[int], base: str) -> None:
    assert [pid for pid in pids if alive(pid)] == []
    assert not answers(f"{base}/healthz")


@pytest.mark.parametrize(
    ("blank_database_url", "number"),
    [("sqlite", signal.SIGTERM), ("postgresql", signal.SIGINT)],
    indirect=["blank_database_url"],
)
def test_it_upgrades_records_serves_and_stops(
    blank: Program, upstream: Upstream, number: signal.Signals
) -> None:
    group = upstream.create(runs=2)
    with up(blank, upstream) as (running, base):
        blank.ok("watch", group)
        running.wait_until(lambda: groups(base)[group]["phase"], "the group to be served")
        assert groups(base)[group]["progress"]["total"] == 2
        assert f"{base}/api/v1/groups" in running.printed
        children = running.descendants()
        assert len(children) >= 2
        assert running.stop(number) == 0
        require_all_ended(children, base)
        assert running.printed.index("recording") < running.printed.index("ended")
    history = json.loads(blank.ok("history", group, "--json", "--kind", "status"))["items"]
    assert sum(entry["polls"] for entry in history) == len(upstream.answered(group))


@pytest.mark.parametrize("command", ["run", "serve"])
@ON_SQLITE
def test_it_exits_if_a_child_process_dies(blank: Program, upstream: Upstream, command: str) -> None:
    with up(blank, upstream) as (running, _), running.leaving_no_processes():
        os.kill(running.descendant(command), signal.SIGKILL)
        assert running.wait() == 1
        (line,) = [line for line in running.printed.splitlines() if line.startswith("Error: ")]
        assert f"recorder {command}" in line


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
@ON_SQLITE
def test_its_child_processes_exit_however_it_ends(
    blank: Program, upstream: Upstream, number: signal.Signals
) -> None:
    """For example because its terminal is closed, or because memory runs out."""
    with up(blank, upstream) as (running, _), running.leaving_no_processes():
        running.process.send_signal(number)
        running.wait()


@ON_SQLITE
def test_a_signal_during_startup_stops_it(blank: Program, upstream: Upstream) -> None:
    program = blank.using(**QUICK, **upstream.settings, RECORDER_API_PORT=str(free_port()))
    with program.start("up") as running:
        running.wait_for("API ")
        children = running.wait_until(lambda: running.descendants() or None, "its child processes to start")
        assert running.stop() == 0
        assert [pid for pid in children if alive(pid)] == []


def test_a_port_in_use_is_reported_in_one_line(bare: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        result = bare.using(PARALLEL_API_KEY="k", RECORDER_API_PORT=port).run("up")
    assert result.status == 1
    assert len(result.complaints) == 1
    assert port in result.err
