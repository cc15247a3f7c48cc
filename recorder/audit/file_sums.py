"""The SHA-256 of a file, kept beside it as the program `sha256sum` writes it."""

from __future__ import annotations

import os
from hashlib import file_digest
from pathlib import Path


def sum_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hex.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def sum_path(path: Path) -> Path:
    """Return where the sum of a file is kept."""
    return path.with_name(f"{path.name}.sha256")


def sum_line(digest: str, name: str) -> bytes:
    """Return the line that `sha256sum` prints; it begins with a backslash if the name has escapes."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "" if escaped == name else "\\"
    return f"{mark}{digest}  ".encode() + os.fsencode(escaped) + b"\n"


def kept_sum(path: Path) -> str | None:
    """Return the sum that is kept beside a file, "" if it is none, and None if nothing is kept.

    Raises:
        OSError: it cannot be read.
    """
    kept = sum_path(path)
    if not kept.is_file():
        return None
    words = kept.read_bytes().removeprefix(b"\\").split()
    return words[0].decode("ascii", "replace").lower() if words else ""
