"""The README: its length, its two commands in separate blocks, and its session."""

from __future__ import annotations

import shlex
import sqlite3
from pathlib import Path

import httpx
import pytest

from tests.support.pages import blocks, page
from tests.support.postgres import free_port
from tests.support.program import Program

PLACEHOLDER = "tgrp_…"
LINES = [line for block in blocks(page("README.md")) for line in block.code.splitlines()]


def _line(start: str) -> list[str]:
    """Return the words of the only line that starts with `start`."""
    (line,) = (line for line in LINES if line.startswith(start))
    return shlex.split(line)


def test_it_is_short() -> None:
    assert page("README.md").count("\n") <= 120


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_commands_are_in_separate_blocks(command: str) -> None:
    assert command in [block.code for block in blocks(page("README.md"))]


def test_the_session_works(tmp_path: Path) -> None:
    """Run the README's commands against a simulated provider, with a real id in place of the placeholder."""
    with Program(tmp_path).start("simulate", "--port", "0") as simulator:
        upstream = simulator.wait_for("simulated upstream at").split()[-1]
        response = httpx.post(f"{upstream}/v1beta/tasks/groups", headers={"x-api-key": "k"}, json={})
        taskgroup_id = response.json()["taskgroup_id"]
        port = free_port()
        settings = {"PARALLEL_API_KEY": "k", "PARALLEL_BASE_URL": upstream, "RECORDER_API_PORT": str(port)}
        _run_session(Program(tmp_path).using(**settings), taskgroup_id, port)


def _run_session(program: Program, taskgroup_id: str, port: int) -> None:
    def fill_in(words: list[str]) -> list[str]:
        return [word.replace(PLACEHOLDER, taskgroup_id).replace(":8000", f":{port}") for word in words]

    assert "watching" in program.run(*fill_in(_line("recorder watch"))[1:]).out
    with program.start(*_line("recorder up")[1:]) as up:
        (address,) = fill_in(_line("curl")[1:])

        def seen() -> bool | None:
            try:
                response = httpx.get(address)
            except httpx.TransportError:
                return None
            return [item["kind"] for item in response.json()["items"]] == ["watch", "status"] or None

        up.wait_until(seen, "the group to be seen")
        note = httpx.get(address).json()["items"][0]["watch"]["note"]
        assert note == "March batch"
        assert taskgroup_id in program.ok(*fill_in(_line("recorder status"))[1:])
        _, database, query = _line("sqlite3")
        with sqlite3.connect(program.folder / database) as connection:
            (row,) = connection.execute(query).fetchall()
        connection.close()
        assert row[:2] == (taskgroup_id, "empty")
        assert up.stop() == 0
