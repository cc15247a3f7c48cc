"""The files of a SQLite database: noticing that they were deleted or replaced while in use, and saying why
they cannot be opened.

SQLite keeps working on an open file that has lost its name, and nobody would ever see what it writes there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, ExceptionContext, event
from sqlalchemy.exc import DisconnectionError

from recorder.store.dialects.base import FilesLostError, FilesRefusedError, FileWatch

_FILE = "recorder_file"
_NOT_A_DATABASE = "SQLITE_NOTADB"
_REFUSALS = {
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_READONLY_CANTINIT",
    "SQLITE_READONLY_DIRECTORY",
    "SQLITE_FULL",
    _NOT_A_DATABASE,
}

Identity = tuple[int, int]
"""A file's device and inode."""


def follow_file(engine: Engine, path: Path) -> None:
    """Replace connections of a reader whose file was moved away: they would keep reading the old file."""
    _remember_file(engine, path)

    @event.listens_for(engine, "checkout")
    def compare(_connection: Any, record: Any, _proxy: object) -> None:
        if record.info[_FILE] != _identity(path):
            # The pool opens a new connection instead.
            raise DisconnectionError("the database file was replaced")


def explain_refusal(engine: Engine, path: Path, *, read_only: bool) -> None:
    """Say which file cannot be opened, why, and what helps; SQLite says none of it."""

    @event.listens_for(engine, "handle_error")
    def explain(context: ExceptionContext) -> None:
        error = context.original_exception
        name = getattr(error, "sqlite_errorname", None)
        if name in _REFUSALS:
            why = _refusal(path, name, read_only=read_only)
            raise FilesRefusedError(why or f"{path}: {error}") from error


def refuse_lost_file(engine: Engine, path: Path) -> None:
    """Refuse to commit to a file that is no longer the one at `path`."""
    _remember_file(engine, path)

    @event.listens_for(engine, "commit")
    def compare(connection: Connection) -> None:
        lost = _lost(path, connection.info[_FILE])
        if lost is not None:
            raise FilesLostError(lost)


class SQLiteFileWatch(FileWatch):
    """Watches a database and the files beside it.

    A connection of its own keeps SQLite from removing those files, as it does with the last connection.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._opened = {files[0]: _identity(files[0])}
        self._connection: sqlite3.Connection | None = None

    def lost(self) -> str | None:
        if self._connection is None:
            self._open()
        found = (_lost(path, opened) for path, opened in self._opened.items())
        return next((lost for lost in found if lost is not None), None)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> None:
        uri = f"file:{quote(str(self._files[0]))}?mode=rw"
        with suppress(sqlite3.Error), ExitStack() as stack:
            connection = stack.enter_context(closing(sqlite3.connect(uri, uri=True, timeout=0)))
            # SQLite locks the file, and creates those beside it, only when it first reads.
            connection.execute("PRAGMA schema_version").fetchone()
            self._opened |= {path: _identity(path) for path in self._files[1:]}
            self._connection = connection
            stack.pop_all()


def _refusal(path: Path, name: str, *, read_only: bool) -> str | None:
    """Return why a file cannot be opened, None if neither it nor its folder is to blame."""
    if name == _NOT_A_DATABASE:
        return f"{path} is not a SQLite database"
    if path.is_dir() or not path.parent.is_dir():
        reason = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        return f"{path} cannot be opened: {reason}"
    if os.access(path, os.F_OK) and not os.access(path, os.R_OK):
        return f"{path} may not be read by this user; run the command as the user of the recorder"
    if read_only:
        return None if os.access(path.parent, os.W_OK) else _unwritable_for_reader(path)
    for place in (path.parent, path):
        if os.access(place, os.F_OK) and not os.access(place, os.W_OK):
            return f"{path} cannot be written: this user may not write to {place}"
    return None


def _unwritable_for_reader(path: Path) -> str:
    """Even a reader needs the files beside the database, and creates them if nobody else has it open."""
    return (
        f"{path} cannot be read while no recorder is running: that takes a file beside it, and this user "
        "may not write to its folder; run the command as the user of the recorder, or copy the database "
        f"to another folder, with {path.name}-wal if there is one"
    )


def _remember_file(engine: Engine, path: Path) -> None:
    @event.listens_for(engine, "connect")
    def remember(_connection: Any, record: Any) -> None:
        record.info[_FILE] = _identity(path)


def _lost(path: Path, opened: Identity | None) -> str | None:
    try:
        now = _identity(path)
    except OSError:
        # It cannot be examined at the moment, which does not mean that it is gone.
        return None
    if now == opened:
        return None
    return f"{path} was " + ("deleted or moved away" if now is None else "replaced by another file")


def _identity(path: Path) -> Identity | None:
    """Return a file's identity, None if there is no file.

    Raises:
        OSError: it is unknown whether there is one.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
