"""A file in which a recorder tells the machine it runs on how it is, so that a health check is cheap.

It is missing where the recorder may not write into the folder for temporary files.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recorder.clock import steady_seconds
from recorder.process_identity import ProcessIdentity, this_machine, this_process

ALIVE_SECONDS = 15
"""A recorder without a heartbeat for longer than this counts as dead."""


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """How a recorder is.

    `heartbeat_at` is when it last sent a heartbeat, by the steady clock. While writes fail, `error` is the
    reason and `failing_since` the time since when, as text. `database` is the address that may be shown.
    """

    process: ProcessIdentity
    heartbeat_at: float
    failing_since: str | None
    error: str | None
    database: str = ""


class StatusFile:
    """The status file of this process; `key` names the database that it records into.

    `database` is the address of that database as it may be shown.
    """

    def __init__(self, key: str, database: str = "") -> None:
        self._key, self._database = key, database
        self._process = this_process()
        self._path = _folder() / f"{_prefix(key)}{self._process.pid}.json"
        self._heartbeat_at = steady_seconds()

    def write(self, writing: Mapping[str, Any], *, heartbeat: bool) -> None:
        """Write the file; `writing` is what the heartbeat reports, `heartbeat` whether one was sent now."""
        if heartbeat:
            self._heartbeat_at = steady_seconds()
        since, error = writing["failing_since"], writing["error"]
        status = RecorderStatus(self._process, self._heartbeat_at, since, error, self._database)
        with suppress(OSError):
            file, name = tempfile.mkstemp(prefix=f"{_prefix(self._key)}new-", dir=self._path.parent)
            try:
                with os.fdopen(file, "w", encoding="utf-8") as opened:
                    json.dump(asdict(status), opened)
                Path(name).replace(self._path)
            except OSError:
                Path(name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the file, and those of recorders that were killed."""
        for path, status in _statuses(self._key):
            if path == self._path or not status.process.runs:
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def running_recorders(key: str) -> list[RecorderStatus]:
    """Return the recorders of a database that this user runs on this machine and that could write a file."""
    return [status for _, status in _statuses(key) if status.process.runs]


def other_databases(key: str) -> list[str]:
    """Return the addresses of other databases into which this user's recorders on this machine record."""
    found = (status for path, status in _statuses("*") if not path.name.startswith(_prefix(key)))
    return sorted({status.database for status in found if status.database and status.process.runs})


def _statuses(key: str) -> Iterator[tuple[Path, RecorderStatus]]:
    for path in _folder().glob(f"{_prefix(key)}[0-9]*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if path.stat().st_uid != os.getuid():
                continue
            members = json.loads(path.read_text("utf-8"))
            status = RecorderStatus(**{**members, "process": ProcessIdentity(**members["process"])})
            if status.process.machine == this_machine():
                yield path, status


def _prefix(key: str) -> str:
    return f"task-group-recorder-{key}-"


def _folder() -> Path:
    return Path(tempfile.gettempdir())
