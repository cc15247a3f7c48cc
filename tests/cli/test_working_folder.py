"""Nothing is imported from the working folder, by a command or by a process that it starts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.postgres import free_port
from tests.support.program import QUICK, WAIT_SECONDS, Program, Running
from tests.support.scripted_upstream import Upstream

RECORDER = Path(sys.executable).with_name("recorder")
HOSTILE = """
import os, pathlib
pathlib.Path(os.environ["IMPORTED"], {name!r}).touch()
raise RuntimeError("imported from the working folder")
"""
SHADOWED = (
    "recorder.py",
    "api/__init__.py",
    "migrations/__init__.py",
    "click.py",
    "flask.py",
    "granian.py",
    "json.py",
    "multiprocessing.py",
    "runpy.py",
    "signal.py",
    "sqlalchemy/__init__.py",
    "sitecustomize.py",
)


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Program]:
    """The program in a folder of modules named like those it uses, none of which may be imported."""
    imported = tmp_path / "imported"
    imported.mkdir()
    folder = tmp_path / "folder"
    for name in SHADOWED:
        module = folder / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(HOSTILE.format(name=name.replace("/", ".")))
    yield Program(folder, settings={**QUICK, "IMPORTED": str(imported), "PARALLEL_API_KEY": "k"})
    assert list(imported.iterdir()) == []


def run(program: Program, *arguments: str) -> str:
    """Run the installed command; `python -m recorder` imports from the working folder by design."""
    result = subprocess.run(
        [RECORDER, *arguments],
        check=False,
        cwd=program.folder,
        env=program.environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@contextmanager
def started(program: Program, *arguments: str) -> Iterator[Running]:
    output = program.folder / f"{arguments[0]}-{time.monotonic_ns()}.output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [RECORDER, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=program.folder,
            env=program.environment,
            start_new_session=True,
        )
    running = Running(process, output)
    try:
        yield running
    finally:
        running.kill()


def test_up_and_its_child_processes(hostile: Program, upstream: Upstream) -> None:
    port = free_port()
    program = hostile.using(**upstream.settings, RECORDER_API_PORT=str(port))
    with started(program, "up") as running:
        running.wait_until_it_serves(f"http://127.0.0.1:{port}/readyz")
        running.wait_for("recording")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            assert json.loads(answer.read())["status"] == "ready"
        assert running.stop() == 0
        assert "Traceback" not in running.printed


def test_serve_and_its_worker(hostile: Program) -> None:
    port = free_port()
    program = hostile.using(RECORDER_API_PORT=str(port))
    run(program, "db", "upgrade")
    with started(program, "serve") as running:
        running.wait_until_it_serves(f"http://127.0.0.1:{port}/readyz")
        assert running.stop() == 0
        assert "Traceback" not in running.printed


def test_verify_in_several_processes(hostile: Program) -> None:
    run(hostile, "watch", "one", "two")
    assert "2 groups: intact" in run(hostile, "verify", "one", "two", "--jobs", "2")


def test_the_demo(hostile: Program, tmp_path: Path) -> None:
    assert "40 groups" in run(hostile.using(TMPDIR=str(tmp_path)), "demo", "--for", "1")


def test_a_reading_command_loads_only_what_it_needs(bare: Program) -> None:
    """A command that only reads does not load the API, its server, the upstream client or Alembic."""
    assert bare.run("watch", "one").status == 0
    code = (
        "import sys; from recorder.cli.main import recorder; "
        "recorder.main(['groups', '--json'], standalone_mode=False); "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=bare.folder,
        env=bare.environment,
    ).stdout.split()
    assert "recorder" in loaded
    assert {
        "aiohttp",
        "alembic",
        "api",
        "apscheduler",
        "flask",
        "granian",
        "httpx",
        "numpy",
        "psycopg",
    }.isdisjoint(loaded)
