"""Names of new files that survive a power failure."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to disk, where the system can.

    Raises:
        OSError: they cannot be written.
    """
    if not hasattr(os, "O_DIRECTORY"):
        # On Windows a folder cannot be opened.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
