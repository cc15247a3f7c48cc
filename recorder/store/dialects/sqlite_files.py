"""The files of a SQLite database: noticing that they were deleted or replaced while in use, and saying why
a reader may not open them.

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
_REFUSALS = {"SQLITE_READONLY_DIRECTORY", "SQLITE_READONLY_CANTINIT", "SQLITE_CANTOPEN"}

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


def explain_refusal(engine: Engine, path: Path) -> None:
    """Say what keeps a reader from a file, and what helps; SQLite says that it attempted to write.

    Even a reader needs the files beside the database, and creates them if nobody else has it open.
    """

    @event.listens_for(engine, "handle_error")
    def explain(context: ExceptionContext) -> None:
        error = context.original_exception
        if getattr(error, "sqlite_errorname", None) in _REFUSALS and (why := _refusal(path)) is not None:
            raise FilesRefusedError(why) from error


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


def _refusal(path: Path) -> str | None:
    """Return why this user may not read a database, None if the permissions are not to blame."""
    if not os.access(path, os.R_OK):
        return f"{path} may not be read by this user; run the command as the user of the recorder"
    if not os.access(path.parent, os.W_OK):
        return (
            f"{path} cannot be read while no recorder is running: that takes a file beside it, and this user "
            "may not write to its folder; run the command as the user of the recorder, or copy the database "
            f"to another folder, with {path.name}-wal if there is one"
        )
    return None


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
