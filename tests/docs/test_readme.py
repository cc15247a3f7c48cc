"""The README: short, with the two commands in blocks of their own, and a session that works."""

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
def test_the_two_commands_stand_alone_in_blocks(command: str) -> None:
    assert command in [block.code for block in blocks(page("README.md"))]


def test_its_session_works(tmp_path: Path) -> None:
    """Type the README's commands, with a simulated provider; `…` stands for the rest of a real id."""
    with Program(tmp_path).start("simulate", "--port", "0") as simulator:
        upstream = simulator.wait_for("simulated upstream at").split()[-1]
        answer = httpx.post(f"{upstream}/v1beta/tasks/groups", headers={"x-api-key": "k"}, json={})
        taskgroup_id = answer.json()["taskgroup_id"]
        port = free_port()
        settings = {"PARALLEL_API_KEY": "k", "PARALLEL_BASE_URL": upstream, "RECORDER_API_PORT": str(port)}
        _type_it(Program(tmp_path).using(**settings), taskgroup_id, port)


def _type_it(program: Program, taskgroup_id: str, port: int) -> None:
    def filled(words: list[str]) -> list[str]:
        return [word.replace(PLACEHOLDER, taskgroup_id).replace(":8000", f":{port}") for word in words]

    assert "watching" in program.run(*filled(_line("recorder watch"))[1:]).out
    with program.start(*_line("recorder up")[1:]) as up:
        (address,) = filled(_line("curl")[1:])

        def seen() -> bool | None:
            try:
                answer = httpx.get(address)
            except httpx.TransportError:
                return None
            return [item["kind"] for item in answer.json()["items"]] == ["watch", "status"] or None

        up.wait_until(seen, "the group to be seen")
        note = httpx.get(address).json()["items"][0]["watch"]["note"]
        assert note == "March batch"
        assert taskgroup_id in program.ok(*filled(_line("recorder status"))[1:])
        _, database, query = _line("sqlite3")
        with sqlite3.connect(program.folder / database) as connection:
            (row,) = connection.execute(query).fetchall()
        connection.close()
        assert row[:2] == (taskgroup_id, "empty")
        assert up.stop() == 0
