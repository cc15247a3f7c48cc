"""The one place where transactions begin and end, and where what a user can mend gets its words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError

from recorder.store.engine import IMMEDIATE

_NO_PRIVILEGE = "42501"
_CANCELLED, _INTERRUPTED = "57014", "interrupted"
"""What PostgreSQL and SQLite say of a statement that took too long."""
_TOO_LONG = "the query took longer than it may"


class DatabaseUnavailableError(Exception):
    """The database cannot be used just now: it is away, locked, full, or refuses what is asked of it."""


class QueryTimeoutError(DatabaseUnavailableError):
    """A statement took longer than it may, and was given up."""


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One snapshot to read from.

    Raises:
        DatabaseUnavailableError: the database cannot be used just now.
    """
    with _translated(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that commits whole or not at all.

    Raises:
        DatabaseUnavailableError: the database cannot be used just now; nothing was written.
    """
    with _translated(), engine.connect() as opened:
        connection = opened.execution_options(**{IMMEDIATE: True})
        with connection.begin():
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        # SQLite reports a file that is no database, or a broken one, as a bare DatabaseError. The other
        # kinds of it, such as IntegrityError, tell of a bug or of a refusal that the caller expects.
        if getattr(error.orig, "sqlstate", None) == _CANCELLED or str(error.orig) == _INTERRUPTED:
            raise QueryTimeoutError(_TOO_LONG) from error
        mendable = isinstance(error, OperationalError | InternalError) or type(error) is DatabaseError
        if mendable or getattr(error.orig, "sqlstate", None) == _NO_PRIVILEGE:
            raise DatabaseUnavailableError(_words(error)) from error
        raise
    except InterfaceError as error:
        raise DatabaseUnavailableError(_words(error)) from error
    except sqlite3.OperationalError as error:
        # From rows that were fetched past SQLAlchemy.
        if str(error) == _INTERRUPTED:
            raise QueryTimeoutError(_TOO_LONG) from error
        raise DatabaseUnavailableError(str(error)) from error


def _words(error: DBAPIError) -> str:
    """The driver's own first line, which names the trouble but no credential."""
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__
