"""Open a database of any supported kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from recorder.store.dialects.base import DatabaseUrlError
from recorder.store.dialects.registry import DIALECTS, dialect_of

_ALLOWED = f"allowed: {' or '.join(dialect.url_form for dialect in DIALECTS)}"


def check_url(text: str) -> URL:
    """Read a database URL and choose its driver; `postgresql://` means psycopg 3.

    Raises:
        DatabaseUrlError: with what is allowed instead. The text is not repeated: it may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseUrlError(f"not a database URL; {_ALLOWED}") from None
    for dialect in DIALECTS:
        if url.drivername in dialect.drivers:
            try:
                return dialect.check_url(url)
            except DatabaseUrlError as error:
                raise DatabaseUrlError(f"{error}; {_ALLOWED}") from None
    raise DatabaseUrlError(f"no driver for {url.drivername!r}; {_ALLOWED}")


def open_engine(url: URL, *, read_only: bool = False, timeout_seconds: float | None = None) -> Engine:
    """Open a database; with `read_only` the database itself refuses every write.

    A statement that takes longer than `timeout_seconds` is cancelled by the database. A server that does not
    even do that is abandoned a little later.
    """
    return dialect_of(url).open_engine(url, read_only=read_only, timeout_seconds=timeout_seconds)


def database_files(url: URL) -> Sequence[Path]:
    """Return the file of a database, then those that can exist beside it; none for a server."""
    return dialect_of(url).files(url)


def database_file(url: URL) -> Path | None:
    """Return the file of a database, None for a server."""
    files = database_files(url)
    return files[0] if files else None
