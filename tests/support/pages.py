"""Read the project's documentation: headings, sections, tables and code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(.*)$")
_HEADING = re.compile(r"^(#+) (.*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block; `language` is everything after its opening fence."""

    language: str
    code: str


def page(name: str) -> str:
    """Return the text of a page, given its path in the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def headings(text: str) -> list[str]:
    return [match[2] for line in _prose(text) if (match := _HEADING.match(line))]


def section(text: str, heading: str) -> str:
    """Return the text under a heading, up to the next heading of any level."""
    lines: list[str] | None = None
    for line in _prose(text):
        match = _HEADING.match(line)
        if match and lines is not None:
            break
        if match and match[2] == heading:
            lines = []
        elif lines is not None:
            lines.append(line)
    assert lines is not None, f"no heading {heading!r}"
    return "\n".join(lines)


def rows(text: str) -> list[list[str]]:
    """Return the rows of the first table without its header, or an empty list if there is no table."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("|"):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
        elif found:
            break
    return found[2:]


def table(name: str, heading: str) -> list[list[str]]:
    return rows(section(page(name), heading))


def first_codes(table_rows: list[list[str]]) -> list[str]:
    """Return the names in the first column, without their backticks."""
    return [plain(row[0]) for row in table_rows]


def plain(cell: str) -> str:
    return cell.strip("`")


def blocks(text: str) -> list[Block]:
    found: list[Block] = []
    language, lines = None, []
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if fence and language is None:
            language, lines = fence[1], []
        elif fence:
            found.append(Block(str(language), "\n".join(lines)))
            language = None
        elif language is not None:
            lines.append(line)
    return found


def _prose(text: str) -> Iterator[str]:
    """Yield the lines outside code blocks."""
    inside = False
    for line in text.splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            yield line
