"""The page on enrolling from code: its programs, requests and commands enrol groups."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from api.app import create_app
from api.enrolling import EnrolmentDatabase
from recorder.simulator import SimulatorSettings
from recorder.store.groups import list_groups
from recorder.store.transactions import reading
from recorder.tokens import Scope, new_token
from tests.support.forker import Forker
from tests.support.pages import blocks, page
from tests.support.postgres import free_port
from tests.support.program import KEY, Program
from tests.support.recording import RULES
from tests.support.simulator import simulating
from tests.support.wsgi_server import serving

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

BLOCKS = blocks(page("docs/enrol-from-your-code.md"))
LINES = [line for block in BLOCKS if block.language == "sh" for line in block.code.splitlines()]
PROGRAMS = [block.code for block in BLOCKS if block.language == "python"]
FOLDER_LINES = next(block.code for block in BLOCKS if block.language == "json")
ADDRESS, TOKEN_SHOWN = "http://127.0.0.1:8000", "tgr_…"
SECRET, TOKEN = new_token("batches", Scope.ENROL)
USUAL = f"tgrp_{'1' * 32}"


@pytest.fixture
def program(tmp_path: Path, forker: Forker, database_url: str) -> Program:
    settings = {"PARALLEL_API_KEY": KEY, "RECORDER_DATABASE_URL": database_url}
    return Program(tmp_path, forker, settings)


@pytest.fixture
def address(engine: Engine) -> Iterator[str]:
    with serving(create_app(engine, tokens=[TOKEN], enrolment=EnrolmentDatabase(engine, RULES))) as url:
        yield url


def _expected(engine: Engine) -> list[int | None]:
    """What is expected of each group, the first one enrolled first."""
    with reading(engine) as connection:
        return [group.watch.expected.runs for group in reversed(list_groups(connection, limit=10))]


@pytest.mark.parametrize("number", [0, 1])
def test_python_programs(program: Program, engine: Engine, address: str, tmp_path: Path, number: int) -> None:
    code = PROGRAMS[number].replace(ADDRESS, address).replace(TOKEN_SHOWN, SECRET)
    with simulating(SimulatorSettings(port=0)) as provider:
        given = {"PARALLEL_API_KEY": KEY, "PARALLEL_BASE_URL": provider, "XDG_STATE_HOME": str(tmp_path)}
        ended = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "NO_PROXY": "*", **given},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    if number == 1:
        program.ok("watch", "--from-file", "enrolments")
    assert _expected(engine) == [1]


def test_curl(engine: Engine, address: str) -> None:
    enrol, expect = (shlex.split(line) for line in LINES if line.startswith("curl "))
    for words, status in ((enrol, 201), (expect, 200), (expect, 200)):
        options = dict(zip(words[2::2], words[3::2], strict=True)) | {"--header": ""}
        headers = [word.replace("$TOKEN", SECRET) for word in words if ": " in word and "{" not in word]
        response = httpx.post(
            words[1].replace(ADDRESS, address),
            content=options["--json"],
            headers={"Content-Type": "application/json", **dict(each.split(": ") for each in headers)},
        )
        assert response.status_code == status, response.text
    assert _expected(engine) == [1500]


def test_commands(program: Program, engine: Engine, tmp_path: Path) -> None:
    commands = [shlex.split(line) for line in LINES if line.startswith("recorder ")]
    assert [words[1] for words in commands] == ["up", "watch", "token", "watch"]
    (tmp_path / "enrolments").mkdir()
    (tmp_path / "enrolments" / "1.ndjson").write_text(FOLDER_LINES + "\n")
    program.ok(*commands[1][1:])
    assert program.run(*commands[2][1:]).out.splitlines()[1].endswith(":enrol")
    assert commands[3][1:] == ["watch", "-", "<", "batch.log"]
    program.ok("watch", "-", text=f"created {USUAL}")
    assert _expected(engine) == [1000, None]


def test_a_running_recorder_takes_in_the_folder(program: Program, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "enrolments").mkdir()
    (tmp_path / "enrolments" / "1.ndjson").write_text(FOLDER_LINES + "\n")
    assert "export RECORDER_ENROL_DIR=enrolments" in LINES
    unreachable = f"http://127.0.0.1:{free_port()}"
    recording = program.using(RECORDER_ENROL_DIR="enrolments", PARALLEL_BASE_URL=unreachable)
    recording.run("run", "--once")
    assert _expected(engine) == [1000]
    with recording.start("run") as running:
        with (tmp_path / "enrolments" / "1.ndjson").open("a") as file:
            file.write(json.dumps({"taskgroup_id": "tgrp_2", "key": "k"}) + "\n")
        line = running.wait_for("enrolled")
        assert "tgrp_2" in line
        assert running.stop() == 0
    assert _expected(engine) == [1000, None]
