"""Which process this is, in terms that tell machines, containers and restarts apart."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STARTED_FIELD = 19
"""The start time's place in /proc/PID/stat, counted after the command."""

_ENDED_STATES = {"Z", "X"}


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process: its machine, its id there, and when it `started`, since ids are used again.

    `machine` differs for machines, for restarts of one, and for containers, all of which can share a host
    name. `started` is None where the system does not tell.
    """

    machine: str
    pid: int
    started: str | None

    def as_json(self) -> dict[str, str | int | None]:
        return asdict(self)

    @property
    def runs(self) -> bool:
        """Whether the process still runs; it must be of this machine."""
        if self.started is not None:
            return _started(self.pid) == self.started
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            return True
        except OSError:
            return False
        return True


@cache
def this_machine() -> str:
    """Return a name for this machine's current run, or for this container's."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(_BOOT_ID.read_text("ascii").strip())
    with suppress(OSError):
        # Processes see each other's ids only within a namespace.
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def this_process() -> ProcessIdentity:
    return ProcessIdentity(this_machine(), os.getpid(), _started(os.getpid()))


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in _ENDED_STATES else fields[_STARTED_FIELD]
