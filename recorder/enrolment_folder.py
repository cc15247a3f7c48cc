"""The folder into which `recorder.sdk` writes the groups that programs create, a line of JSON each.

Every process appends to a file of its own, named `*.ndjson`, so a file may end within a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recorder.ledger.group_id import check_taskgroup_id


@dataclass(frozen=True, slots=True)
class EnrolmentLine:
    """A group that was created, or runs that were added to it (None: none); `key` is unique to the line."""

    taskgroup_id: str
    add_runs: int | None
    key: str


@dataclass(slots=True)
class FolderContent:
    """The lines of a folder, and a complaint about each that is not as it should be."""

    lines: list[EnrolmentLine] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def read_folder(folder: Path) -> FolderContent:
    """Read every whole line in the folder, file by file in the order of their names.

    A line that is still being written is left for the next time. A file that cannot be read is a complaint.
    """
    content = FolderContent()
    for path in sorted(folder.glob("*.ndjson")):
        try:
            data = path.read_bytes()
        except OSError as error:
            content.complaints.append(f"{path}: {error.strerror or error}")
        else:
            _read(str(path), data.split(b"\n")[:-1], content)
    return content


def _read(name: str, lines: Iterable[bytes], content: FolderContent) -> None:
    for number, text in _filled(lines):
        try:
            content.lines.append(_line(text))
        except ValueError as error:
            content.complaints.append(f"{name}, line {number}: {error}")


def _filled(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    return ((number, text) for number, text in enumerate(lines, 1) if text.strip())


def _line(text: bytes) -> EnrolmentLine:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(members, dict):
        raise ValueError("is not a JSON object")
    taskgroup_id, runs, key = (members.get(name) for name in ("taskgroup_id", "add_runs", "key"))
    if not isinstance(taskgroup_id, str) or not isinstance(key, str):
        raise ValueError("needs taskgroup_id and key, both texts")
    if runs is not None and (type(runs) is not int or runs < 1):
        raise ValueError("add_runs is not a whole number above 0")
    try:
        return EnrolmentLine(check_taskgroup_id(taskgroup_id), runs, key)
    except ValueError as error:
        raise ValueError(f"taskgroup_id {error}") from None
