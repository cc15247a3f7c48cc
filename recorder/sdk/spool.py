"""Records that wait to be delivered, in a file for each process; a later process takes over those left.

A record is a line of JSON. The file of a living process is locked, so that no other one delivers it too.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import IO, Any

if sys.platform != "win32":
    import fcntl

LARGEST_SPOOL_BYTES = 64 << 20
"""A spool does not grow beyond this."""

Record = dict[str, Any]


def lines_of(records: Iterable[Record]) -> bytes:
    """Return records as lines of JSON."""
    return b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records)


class SpoolFullError(Exception):
    """The spool has reached its largest size."""


def spool_folder(to: str) -> Path:
    """Return the folder of what waits for the destination `to`."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    base = state if state.is_absolute() else Path.home() / ".local" / "state"
    return base / "task-group-recorder" / sha256(to.encode()).hexdigest()[:16]


class Spool:
    """The file of this process in `folder`, and those that earlier processes left there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: FileIO | None = None

    def append(self, records: list[Record]) -> None:
        """Write records to the disk.

        Raises:
            OSError: the folder or the file cannot be written to.
            SpoolFullError: there is no room; nothing was written.
        """
        data = lines_of(records)
        file = self._opened()
        start = file.tell()
        if start + len(data) > LARGEST_SPOOL_BYTES:
            raise SpoolFullError(f"{self._folder} has reached {LARGEST_SPOOL_BYTES} bytes")
        try:
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError:
            # Half a line would spoil the next one.
            file.seek(start)
            file.truncate()
            raise

    def clear(self) -> None:
        """Forget this process's records, all of which have been delivered."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()

    def left_by_others(self) -> Iterator[tuple[list[Record], Path]]:
        """Yield the records of each process that has ended; the caller deletes the file once delivered."""
        for path in sorted(self._folder.glob("*.ndjson")):
            if self._file is None or path.name != Path(self._file.name).name:
                with _locked(path) as file:
                    if file is not None:
                        yield _records(file.read()), path

    def close(self) -> None:
        """Give up the file; it is deleted if nothing waits in it."""
        if self._file is not None:
            empty = self._file.tell() == 0
            self._file.close()
            if empty:
                Path(self._file.name).unlink(missing_ok=True)
            self._file = None

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            name = f"{os.getpid()}-{secrets.token_hex(4)}.ndjson"
            self._file = (self._folder / name).open("xb", buffering=0)
            if sys.platform != "win32":
                fcntl.flock(self._file, fcntl.LOCK_EX)
        return self._file


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes] | None]:
    """Open a spool file of another process; None if that process is alive or the file is gone."""
    try:
        if sys.platform == "win32":
            # An open file cannot be renamed there, which serves as the lock.
            path.rename(path)
        file = path.open("rb+")
    except OSError:
        yield None
        return
    with file:
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        yield file


def _records(data: bytes) -> list[Record]:
    """Return the records in a file; the last line may have been cut off when its process was killed."""
    found = []
    for line in data.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and _is_whole(record):
            found.append(record)
    return found


def _is_whole(record: Record) -> bool:
    return all(isinstance(record.get(name), str) for name in ("taskgroup_id", "key"))
