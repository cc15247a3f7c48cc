"""The file that an archive is while it is being written, and what a killed process has left of one."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

_NAME = ".recorder-archive-{}.part"
_LOCKED_SECONDS = 60.0
"""How long after it was created a file is locked, if at all."""


@contextmanager
def part_file(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a new file in `folder`, and its path; it is deleted after the block.

    Those that killed processes have left there are deleted first.

    Raises:
        OSError: it cannot be created.
    """
    _delete_abandoned(folder)
    path = folder / _NAME.format(secrets.token_hex(6))
    with path.open("xb") as file:
        try:
            _lock(file)
            yield file, path
        finally:
            path.unlink(missing_ok=True)


def _delete_abandoned(folder: Path) -> None:
    for path in folder.glob(_NAME.format("*")):
        with suppress(OSError), path.open("rb") as file:
            state = os.fstat(file.fileno())
            # One that was created just now may not be locked yet.
            is_new = not state.st_size and time.time() - state.st_mtime < _LOCKED_SECONDS
            if not is_new and _lock(file):
                path.unlink()


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed; return whether nobody else has it."""
    try:
        # On Windows, a file that is open elsewhere cannot be deleted, which serves as the lock.
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
