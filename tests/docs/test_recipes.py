"""The recipes work: over HTTP against an API, and in SQL on their databases."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pandas
import pytest
from sqlalchemy import Engine, text

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from recorder.store.transactions import reading
from tests.support.hostile_ledger import HUGE, METADATA, record_hostile
from tests.support.pages import blocks, page
from tests.support.postgres import binaries
from tests.support.recording import Recording, active, after, settled
from tests.support.wsgi_server import serving

BLOCKS = blocks(page("docs/recipes.md"))
ADDRESS = "http://127.0.0.1:8000"
LINES = [line for block in BLOCKS if block.language == "sh" for line in block.code.splitlines()]
CURL = [line for line in LINES if line.startswith("curl ")]
PIPED = [line for line in CURL if " | jq " in line]
SAVED = [line for line in CURL if "--output" in line]
GENERATOR = "openapi-python-client"
PROGRAMS = [block.code for block in BLOCKS if block.language == "python"]
QUERIES = [block.code for block in BLOCKS if block.language.split()[0] == "sql"]
STATUS = [["tgrp_1", "active", "1", "2"], ["tgrp_2", "settled", "5", "5"], ["tgrp_3", "", "", ""]]


@pytest.fixture
def recorded(engine: Engine) -> None:
    recording = Recording(engine)
    for name in ("tgrp_1", "tgrp_2", "tgrp_3"):
        recording.watch(name)
    recording.see("tgrp_1", 1, active(running=2))
    recording.see("tgrp_2", 2, settled(completed=5))
    for seconds in (12, 22, 32, 42, 52):
        recording.fail("tgrp_1", seconds)
    recording.see("tgrp_1", 60, active(running=1, completed=1))


@pytest.fixture
def address(database_url: str, recorded: None) -> Iterator[str]:
    """The address of an API with the recorded groups, at a time when all of them are late."""
    engine = open_engine(check_url(database_url), read_only=True)
    app = create_app(engine, now=lambda: after(300))
    with serving(app) as url:
        yield url
    engine.dispose()


def _fetch(line: str, address: str) -> bytes:
    """Fetch what the curl command of a line does."""
    words = shlex.split(line.partition(" | ")[0])
    (target,) = (word for word in words if word.startswith(ADDRESS))
    response = httpx.get(target.replace(ADDRESS, address))
    assert response.status_code == 200
    return response.content


def test_every_recipe_is_tested() -> None:
    assert len(PIPED) == 2 and len(SAVED) == 2 and set(CURL) == {*PIPED, *SAVED}
    assert {line.split()[0] for line in LINES} == {"curl", "sqlite3", "psql", GENERATOR}
    assert (len(PROGRAMS), len(QUERIES)) == (3, 3)
    assert {block.language.split()[0] for block in BLOCKS} == {"sh", "python", "sql"}


sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@sqlite_only
def test_generating_a_client(address: str, tmp_path: Path) -> None:
    (line,) = (line for line in LINES if line.startswith(GENERATOR))
    _, *words = shlex.split(line.replace(ADDRESS, address))
    program = Path(sys.executable).with_name(GENERATOR)
    # The generator formats the client with ruff.
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    folder = tmp_path / "client"
    folder.mkdir()
    subprocess.run(
        [program, *words], check=True, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True
    )
    (operations,) = folder.glob("*/*/api")
    assert {path.stem for path in operations.glob("*/*.py")} >= {"list_groups", "get_history"}


@sqlite_only
def test_curl(address: str) -> None:
    late, groups = ([json.loads(row) for row in _fetch(line, address).splitlines()] for line in PIPED)
    assert [group["taskgroup_id"] for group in groups] == ["tgrp_1", "tgrp_2", "tgrp_3"]
    assert {group["taskgroup_id"] for group in late} == {"tgrp_1", "tgrp_2", "tgrp_3"}
    history, table = (_fetch(line, address) for line in SAVED)
    assert [json.loads(line)["kind"] for line in history.splitlines()] == [
        "watch",
        "status",
        "gap",
        "status",
        "gap",
    ]
    assert len(table.splitlines()) == 4


@sqlite_only
def test_jq(address: str) -> None:
    jq = shutil.which("jq")
    assert jq is not None, "the recipes need jq: apt-get install jq"
    late, groups = (
        subprocess.run(
            [jq, *shlex.split(line.partition(" | jq ")[2])],
            input=_fetch(line, address),
            capture_output=True,
            check=True,
        ).stdout.decode()
        for line in PIPED
    )
    assert late.splitlines()[0].split("\t") == ["tgrp_1", "not_polled", "2026-11-24T12:01:00.000000Z"]
    assert [json.loads(line)["done"] for line in groups.splitlines()] == [0.5, 1, None]


@sqlite_only
@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, ["active", "1.0"]), (1, ["num_task_runs", "active"]), (2, ["True", "'completed': 1"])],
)
def test_python_programs(address: str, tmp_path: Path, number: int, expected: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAMS[number].replace(ADDRESS, address)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "*"},
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert all(text in result.stdout for text in expected), result.stdout


@sqlite_only
def test_pandas_reads_exports(address: str) -> None:
    table = pandas.read_csv(io.BytesIO(_fetch(SAVED[1], address)))
    assert list(table["completed"].fillna(-1)) == [1, 5, -1]


def _by_sqlite3(database_url: str) -> list[list[str]]:
    (line,) = (line for line in LINES if line.startswith("sqlite3"))
    *_, database, query = shlex.split(line)
    assert database == "recorder.db"
    path = Path(database_url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(query).fetchall()
    return [["" if value is None else str(value) for value in row] for row in rows]


def _by_psql(database_url: str, folder: Path) -> list[list[str]]:
    (line,) = (line for line in LINES if line.startswith("psql"))
    _, address, *options = shlex.split(line)
    assert address == "$RECORDER_DATABASE_URL"
    result = subprocess.run(
        [binaries() / "psql", database_url, *options],
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    return [row.split(",") for row in result.stdout.splitlines()[1:]]


@pytest.mark.usefixtures("recorded")
def test_sqlite3_and_psql(database_url: str, tmp_path: Path) -> None:
    on_sqlite = database_url.startswith("sqlite")
    assert (_by_sqlite3(database_url) if on_sqlite else _by_psql(database_url, tmp_path)) == STATUS


def _in_window(engine: Engine, query: str, since: float, until: float) -> list[tuple[Any, ...]]:
    """Return the rows of a query, whose macros are filled in as Grafana does."""
    for macro, at in (("$__timeFrom()", since), ("$__timeTo()", until)):
        query = query.replace(macro, f"'{after(at).isoformat()}'")
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query.replace(":", "\\:")))]


@postgresql_only
def test_queries_of_dashboards(engine: Engine) -> None:
    record_hostile(engine)
    by_phase, finished, gaps = QUERIES
    assert {row[0] for row in _in_window(engine, by_phase, 0, 0)} == {
        *("active", "never seen", "settled", "unclear")
    }
    # Nothing begins or ends in the first window; what was in force gives a point at each of its edges.
    points = [row for row in _in_window(engine, finished, 150, 300) if row[1] == "tgrp_1"]
    assert points == [(after(150), "tgrp_1", 3), (after(300), "tgrp_1", 3)]
    points = [row for row in _in_window(engine, finished, 0, 700) if row[1] == "tgrp_1"]
    assert points == [(after(1), "tgrp_1", 3), (after(640), "tgrp_1", 3)]
    for since, until in ((0, 7300), (2000, 3000), (600, 700), (7000, 7300)):
        (found,) = [row for row in _in_window(engine, gaps, since, until) if row[3] == "tgrp_1"]
        assert found == (after(640), after(7201), "not_polled", "tgrp_1")


@pytest.fixture
def hostile(database_url: str, engine: Engine) -> Iterator[str]:
    """The address of an API over the hostile ledger."""
    record_hostile(engine)
    reader = open_engine(check_url(database_url), read_only=True)
    with serving(create_app(reader, now=lambda: after(7300))) as url:
        yield url
    reader.dispose()


@sqlite_only
def test_python_programs_cope_with_whatever_is_said(
    hostile: str, engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    table, history, _ = (program.replace(ADDRESS, hostile) for program in PROGRAMS)
    Recording(engine).watch("NA", 7301)
    found: dict[str, Any] = {}
    exec(table, found)
    assert set(found["groups"]["taskgroup_id"]) >= {"NA", *METADATA}
    for group, rows in (("tgrp_1", 2), ("tgrp_2", 2), ("tgrp_every", 1), ("m_huge", 1), ("tgrp_never", 0)):
        exec(history.replace("tgrp_1", group), found)
        assert len(found["history"]) == rows
        assert list(found["history"]["phase"])[-1:] != ["a member"]
    assert "Empty DataFrame" in capsys.readouterr().out


@sqlite_only
def test_shell_lines_cope_with_whatever_is_said(hostile: str) -> None:
    jq = shutil.which("jq")
    assert jq is not None
    for line in PIPED:
        exported, words = _fetch(line, hostile), shlex.split(line.partition(" | jq ")[2])
        ended = subprocess.run([jq, *words], input=exported, capture_output=True, check=True)
        # A line for each item, however it splits lines.
        assert len(ended.stdout.splitlines()) == len(exported.decode().splitlines()) > 10
    for line in SAVED:
        assert _fetch(line, hostile)


@pytest.mark.usefixtures("hostile")
def test_sqlite3_and_psql_cope_with_whatever_is_said(database_url: str, tmp_path: Path) -> None:
    on_sqlite = database_url.startswith("sqlite")
    rows = _by_sqlite3(database_url) if on_sqlite else _by_psql(database_url, tmp_path)
    number = {name: str(place) for place, name in enumerate(METADATA)}
    counted = [[name, "active", number[name], str(2 + int(number[name]))] for name in METADATA]
    others = [["m_huge", "unclear", "", ""], ["tgrp_never", "", "", ""], ["tgrp_every", "active", "1", "7"]]
    ended = [["tgrp_1", "settled", "7", "7"], ["tgrp_2", "settled", "5", "5"]]
    assert rows == sorted(counted + others + ended)


@sqlite_only
def test_the_providers_sdk_copes_with_whatever_is_said(
    hostile: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    program, found = PROGRAMS[2].replace(ADDRESS, hostile), dict[str, Any]()
    for name in (*METADATA, "m_huge", "tgrp_2", "tgrp_every"):
        exec(program.replace("tgrp_1", name), found)
        found["client"].close()
        said = {**METADATA, "m_huge": {"customer": float(HUGE)}}.get(name)
        assert found["group"].metadata == said, name
    assert "False {'completed': 5}" in capsys.readouterr().out
