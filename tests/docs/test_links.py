"""Links between the pages work, and the files that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.pages import PAGES, ROOT, headings, page, section

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FILE = re.compile(r"`((?:[a-z_]+/)+[a-z0-9_]*(?:\.[a-z]+)?)`")
_FOLDERS = (ROOT, ROOT / "recorder")
"""Folders to which the names of files on the pages are relative."""


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert headings(text)
    for target in _LINK.findall(text):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        other = (path.parent / file).resolve() if file else path
        assert other.is_relative_to(ROOT), target
        assert other.exists(), target
        if anchor:
            anchors = {_anchor(heading) for heading in headings(other.read_text(encoding="utf-8"))}
            assert anchor in anchors, target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files(path: Path) -> None:
    own_folders = {folder.name for parent in _FOLDERS for folder in parent.iterdir() if folder.is_dir()}
    for name in _FILE.findall(path.read_text(encoding="utf-8")):
        if name.partition("/")[0] in own_folders:
            assert any((folder / name).exists() for folder in _FOLDERS), name


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs/decisions"
    listed = set(_LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in folder.glob("0*.md")} == listed


def test_every_page_is_listed_under_one_kind() -> None:
    text = page("docs/README.md")
    listed = [
        target.partition("#")[0]
        for kind in ("Learn", "Do", "Look up", "Understand")
        for target in _LINK.findall(section(text, kind))
    ]
    folder = ROOT / "docs"
    pages = {str(path.relative_to(folder)) for path in PAGES if path.is_relative_to(folder)}
    decisions = {name for name in pages if name.startswith("decisions/0")}
    assert sorted(listed) == sorted(pages - decisions - {"README.md"})


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, new = set(), {ROOT / "README.md"}
    while new:
        path = new.pop()
        reached.add(path)
        targets = (target.partition("#")[0] for target in _LINK.findall(path.read_text(encoding="utf-8")))
        linked = {(path.parent / target).resolve() for target in targets if target.endswith(".md")}
        new |= linked - reached
    assert reached == set(PAGES)
