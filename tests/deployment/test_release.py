"""The distributions hold all that the program needs, wherever it is run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest

from tests.support.built_program import Built, build, install
from tests.support.pages import ROOT
from tests.support.postgres import free_port
from tests.support.program import WAIT_SECONDS, Running

PACKAGES = ("api", "migrations", "recorder")
FOR_DEVELOPERS = {"migrations/script.py.mako"}
"""The template of new migrations, which are made in a clone."""
HOSTILE = (
    "alembic.ini",
    "api/__init__.py",
    "click.py",
    "flask.py",
    "migrations/env.py",
    "recorder.py",
    "templates/overview.html",
)
"""Files in the working folder that are named like what the program uses, and break whatever reads them."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def programs(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(built.wheel, tmp_path_factory.mktemp("installed") / "environment")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in HOSTILE:
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("raise RuntimeError('from the working folder') {% nonsense\n")
    return tmp_path / "folder"


def environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith(("RECORDER_", "PYTHON"))}


def run(programs: Path, folder: Path, name: str, *arguments: str) -> str:
    result = subprocess.run(
        [programs / name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(),
        timeout=WAIT_SECONDS,
    )
    assert (result.returncode, "Traceback" in result.stderr) == (0, False), result.stderr
    return result.stdout


@pytest.fixture
def served(programs: Path, folder: Path) -> Iterator[str]:
    port = free_port()
    run(programs, folder, "recorder", "db", "upgrade")
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [programs / "recorder", "serve"],
            stdout=file,
            stderr=file,
            cwd=folder,
            env={**environment(), "RECORDER_API_PORT": str(port)},
            start_new_session=True,
        )
    running = Running(process, output)
    try:
        running.wait_until_it_serves(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
        assert running.stop() == 0
    finally:
        running.kill()


def sources() -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_both_hold_every_file_of_the_packages(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        in_wheel = {name for name in wheel.namelist() if name.partition("/")[0] in PACKAGES}
    assert in_wheel == sources() - FOR_DEVELOPERS
    with tarfile.open(built.sdist) as sdist:
        in_sdist = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert in_wheel | {"LICENSE", "README.md", "pyproject.toml"} <= in_sdist


def test_the_metadata_names_licence_readme_and_pythons(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_string(wheel.read(name).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).strip() == (ROOT / "README.md").read_text("utf-8").strip()
    pythons = {text.rpartition(" ")[2] for text in metadata.get_all("Classifier", []) if ":: 3." in text}
    assert pythons == {"3.11", "3.12", "3.13", "3.14"} and metadata["Requires-Python"] == ">=3.11"


def test_the_version_is_that_of_the_wheel(built: Built, programs: Path, folder: Path) -> None:
    version = built.wheel.name.split("-")[1]
    assert run(programs, folder, "recorder", "--version") == f"recorder, version {version}\n"


def test_the_database_is_upgraded_and_checked(programs: Path, folder: Path) -> None:
    newest = max(re.findall(r"migrations/versions/(\d+)_", "\n".join(sources())))
    assert newest in run(programs, folder, "recorder", "db", "upgrade")
    run(programs, folder, "recorder", "db", "check")


def test_the_demo_runs(programs: Path, folder: Path) -> None:
    assert "40 groups" in run(programs, folder, "recorder", "demo", "--for", "1")


def test_pages_their_files_and_documents_are_served(served: str) -> None:
    def get(path: str) -> str:
        with urllib.request.urlopen(served + path, timeout=WAIT_SECONDS) as answer:
            return str(answer.read().decode())

    for path in ("/", "/docs"):
        html = get(path)
        files = re.findall(r'(?:href|src)="([^"]+\.(css|js)[^"]*)"', html)
        assert {kind for _, kind in files} == {"css", "js"}, html
        assert all(get(f"/{file.lstrip('./')}") for file, _ in files)
    assert "/api/v1/groups" in json.loads(get("/openapi.json"))["paths"]


def test_the_sdk_needs_no_database_library(programs: Path, folder: Path) -> None:
    code = "import sys, recorder.sdk; recorder.sdk.attach; print('sqlalchemy' in sys.modules)"
    assert run(programs, folder, "python", "-P", "-c", code) == "False\n"
