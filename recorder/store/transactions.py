"""Transactions, and the errors of a database that a user can do something about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError

from recorder.store.dialects.base import WRITING, FilesLostError, FilesRefusedError, StoreDialect
from recorder.store.dialects.registry import dialect_of

_TOO_LONG = "the query took longer than it may"
_TAKES_NO_WRITES = "the server is read-only, as a standby is; the next attempt connects anew"


class DatabaseUnavailableError(Exception):
    """The database cannot be used now: it is unreachable, locked or full, or it refuses the request."""


class QueryTimeoutError(DatabaseUnavailableError):
    """A statement was cancelled because it took too long."""


class DatabaseLostError(DatabaseUnavailableError):
    """The database's file was deleted or replaced; it does not come back by itself."""


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that reads one snapshot.

    Raises:
        DatabaseUnavailableError: the database cannot be used now.
    """
    with _translated(dialect_of(engine)), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that commits completely or not at all.

    Raises:
        DatabaseUnavailableError: the database cannot be used now; nothing was written.
    """
    with _translated(dialect_of(engine)), engine.connect() as opened:
        connection = opened.execution_options(**{WRITING: True})
        with connection.begin():
            yield connection


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that changes the schema; it waits until no other one does, however long that takes.

    Raises:
        DatabaseUnavailableError: the database cannot be used now; nothing was changed.
    """
    dialect = dialect_of(engine)
    with _translated(dialect), engine.connect() as opened:
        connection = opened.execution_options(**{WRITING: True})
        with dialect.begin_alone(connection):
            yield connection


@contextmanager
def _translated(dialect: StoreDialect) -> Iterator[None]:
    try:
        yield
    except FilesLostError as error:
        raise DatabaseLostError(str(error)) from error
    except FilesRefusedError as error:
        raise DatabaseUnavailableError(str(error)) from error
    except InterfaceError as error:
        raise DatabaseUnavailableError(_first_line(error)) from error
    except DatabaseError as error:
        if error.orig is not None and dialect.is_timeout(error.orig):
            raise QueryTimeoutError(_TOO_LONG) from error
        if error.orig is not None and dialect.is_read_only(error.orig):
            raise DatabaseUnavailableError(f"{_TAKES_NO_WRITES}: {_first_line(error)}") from error
        if _is_environmental(error, dialect):
            raise DatabaseUnavailableError(_first_line(error)) from error
        raise
    except dialect.driver_error as error:
        # Raised while fetching rows from the driver's own cursor.
        if dialect.is_timeout(error):
            raise QueryTimeoutError(_TOO_LONG) from error
        raise DatabaseUnavailableError(str(error)) from error


def _is_environmental(error: DatabaseError, dialect: StoreDialect) -> bool:
    """Whether the database is to blame. Other errors, such as IntegrityError, are bugs, or are expected by
    the caller."""
    if isinstance(error, OperationalError | InternalError):
        return True
    # SQLite reports a file that is broken or not a database as a plain DatabaseError.
    return type(error) is DatabaseError or (error.orig is not None and dialect.lacks_privilege(error.orig))


def _first_line(error: DBAPIError) -> str:
    """Return the first line of the driver's message, which names the problem but no credentials."""
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__
