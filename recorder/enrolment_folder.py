"""The folder into which `recorder.sdk` writes the groups that programs create, a line of JSON each.

Every process appends to a file of its own, named `*.ndjson`, so a file may end within a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from recorder.ledger.entries import MOST_RUNS
from recorder.ledger.group_id import check_taskgroup_id
from recorder.store.request_keys import MOST_KEY_CHARACTERS

_PIECE_BYTES = 1 << 20
"""How much of a file is read at once, and more than the longest line."""
_MANY_LINES = 5000
"""No further file is read after so many lines."""


@dataclass(frozen=True, slots=True)
class EnrolmentLine:
    """A group that was created, or runs that were added to it (None: none); `key` is unique to the line."""

    taskgroup_id: str
    add_runs: int | None
    key: str


@dataclass(slots=True)
class FolderContent:
    """New lines of a folder, a complaint about each that is bad, and whether there are more to read."""

    lines: list[EnrolmentLine] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    more: bool = False


@dataclass(slots=True)
class _Place:
    """How far a file was read: `offset` in bytes, after so many `lines`."""

    offset: int = 0
    lines: int = 0


class EnrolmentFolder:
    """Reads what is appended to the files of a folder; a line that is still being written waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, _Place] = {}
        self._unreadable: set[str] = set()

    def read(self) -> FolderContent:
        """Read whole lines that are new, a good many at a time, in the order of the files' names.

        A file that cannot be read is a complaint, but only once until it can be read again.

        Raises:
            OSError: the folder cannot be read.
        """
        content = FolderContent()
        sizes = self._sizes()
        self._places = {name: self._places.get(name, _Place()) for name in sorted(sizes)}
        for name, place in self._places.items():
            if sizes[name] < place.offset:
                # It was replaced; what was taken in already is known by its keys.
                place.offset = place.lines = 0
            if sizes[name] > place.offset:
                if len(content.lines) >= _MANY_LINES:
                    content.more = True
                    break
                self._read_file(name, place, content)
        return content

    def _sizes(self) -> dict[str, int]:
        """Return the size of each file; only regular ones, since opening another one may never end."""
        sizes = {}
        for path in self._folder.iterdir():
            if path.suffix == ".ndjson":
                with suppress(FileNotFoundError):
                    found = path.stat()
                    if S_ISREG(found.st_mode):
                        sizes[path.name] = found.st_size
        return sizes

    def _read_file(self, name: str, place: _Place, content: FolderContent) -> None:
        path = self._folder / name
        try:
            with path.open("rb") as file:
                file.seek(place.offset)
                data = file.read(_PIECE_BYTES)
        except OSError as error:
            if name not in self._unreadable:
                self._unreadable.add(name)
                content.complaints.append(f"{path}: {error.strerror or error}")
            return
        self._unreadable.discard(name)
        whole = data.rpartition(b"\n")[0]
        taken = len(whole) + 1 if b"\n" in data else 0
        if not taken and len(data) == _PIECE_BYTES:
            content.complaints.append(f"{path}, line {place.lines + 1}: is longer than {_PIECE_BYTES} bytes")
            place.offset += len(data)
        elif taken:
            self._read_lines(path, whole.split(b"\n"), place, content)
            place.offset += taken
        content.more |= len(data) == _PIECE_BYTES

    def _read_lines(self, path: Path, lines: Iterable[bytes], place: _Place, content: FolderContent) -> None:
        for text in lines:
            place.lines += 1
            if text.strip():
                try:
                    content.lines.append(_line(text))
                except ValueError as error:
                    content.complaints.append(f"{path}, line {place.lines}: {error}")


def created_groups(lines: Iterable[EnrolmentLine]) -> dict[str, Mapping[str, int]]:
    """Return the groups of lines in their order, each with how many runs were added to it by key."""
    created: dict[str, dict[str, int]] = {}
    for line in lines:
        runs = created.setdefault(line.taskgroup_id, {})
        if line.add_runs is not None:
            runs.setdefault(line.key, line.add_runs)
    return {**created}


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
    if not (1 <= len(key) <= MOST_KEY_CHARACTERS and key.isprintable()):
        raise ValueError(f"key is not 1 to {MOST_KEY_CHARACTERS} printable characters")
    if runs is not None and (type(runs) is not int or not 1 <= runs <= MOST_RUNS):
        raise ValueError(f"add_runs is not a whole number from 1 to {MOST_RUNS}")
    try:
        return EnrolmentLine(check_taskgroup_id(taskgroup_id), runs, key)
    except ValueError as error:
        raise ValueError(f"taskgroup_id {error}") from None
