"""Build the distributions that users install, and install the wheel where nothing else of the project is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.pages import ROOT

SOURCES = ("api", "migrations", "recorder", "LICENSE", "README.md", "pyproject.toml")
"""What the distributions are made of."""
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True, slots=True)
class Built:
    sdist: Path
    wheel: Path


def build(folder: Path) -> Built:
    """Build the sdist from a copy of the sources, and the wheel from the sdist."""
    tree = folder / "tree"
    tree.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree)
    output = folder / "dist"
    _uv("build", "--no-build-isolation", "--python", sys.executable, "--out-dir", output, tree)
    (sdist,), (wheel,) = output.glob("*.tar.gz"), output.glob("*.whl")
    return Built(sdist, wheel)


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel and what it requires into a new environment; return the folder of its programs.

    The packages that it requires, and no others, are linked from the environment of the tests.
    """
    _uv("venv", "--python", sys.executable, folder)
    programs = folder / "bin"
    _uv("pip", "install", "--no-deps", "--python", programs / "python", wheel)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (metadata,) = site_packages.glob("*.dist-info/METADATA")
    wanted = re.findall(r"^Requires-Dist: (.*)$", metadata.read_text("utf-8"), re.MULTILINE)
    for package in _closure(map(Requirement, wanted)):
        _link(distribution(package), site_packages)
    return programs


def _uv(*arguments: str | Path) -> None:
    result = subprocess.run(
        [UV, "--offline", "--no-progress", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "UV_NO_CONFIG": "1"},
    )
    assert result.returncode == 0, result.stderr


def _closure(wanted: Iterable[Requirement]) -> set[str]:
    """The names of the required packages and of all that they require in turn."""
    found: set[tuple[str, str]] = set()
    new = {(need.name, extra) for need in wanted for extra in ("", *need.extras)}
    while new:
        found |= new
        new = {need for name, extra in new for need in _needs(name, extra)} - found
    return {name for name, _ in found}


@cache
def _needs(name: str, extra: str) -> frozenset[tuple[str, str]]:
    needs = map(Requirement, distribution(name).requires or [])
    return frozenset(
        (need.name, its_extra)
        for need in needs
        if need.marker is None or need.marker.evaluate({"extra": extra})
        for its_extra in ("", *need.extras)
    )


def _link(package: Distribution, site_packages: Path) -> None:
    for name in {file.parts[0] for file in package.files or [] if file.parts[0] not in {"..", "__pycache__"}}:
        link = site_packages / name
        if not link.exists():
            link.symlink_to(Path(str(package.locate_file(name))))
