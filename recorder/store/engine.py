"""Open a database of any supported kind."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from recorder.store.dialects.base import DatabaseUrlError, FileWatch
from recorder.store.dialects.postgres_url import split_hosts
from recorder.store.dialects.registry import DIALECTS, dialect_of

# Our own errors tell that a connection was lost; these would be printed besides, with tracebacks.
for _library in ("psycopg", "sqlalchemy.pool"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

PROGRAM = "recorder"
_LONGEST_NAME = 63
_ALLOWED = f"allowed: {' or '.join(dialect.url_form for dialect in DIALECTS)}"


def check_url(text: str) -> URL:
    """Read a database URL and choose its driver; `postgresql://` means psycopg 3.

    Raises:
        DatabaseUrlError: with what is allowed instead. The text is not repeated: it may hold a password.
    """
    try:
        url = make_url(split_hosts(text))
    except (ArgumentError, ValueError):
        raise DatabaseUrlError(f"not a database URL; {_ALLOWED}") from None
    for dialect in DIALECTS:
        if url.drivername in dialect.drivers:
            try:
                return dialect.check_url(url)
            except DatabaseUrlError as error:
                raise DatabaseUrlError(f"{error}; {_ALLOWED}") from None
    raise DatabaseUrlError(f"no driver for {url.drivername!r}; {_ALLOWED}")


def open_engine(
    url: URL,
    *,
    read_only: bool = False,
    primary: bool = False,
    timeout_seconds: float | None = None,
    name: str = PROGRAM,
) -> Engine:
    """Open a database; with `read_only` the database itself refuses every write.

    Of several servers, the one that takes writes is opened, also to read if `primary` is set.
    A statement that takes longer than `timeout_seconds` is cancelled by the database. A server that does not
    even do that is abandoned a little later. A server lists the connections under `name` with the host and
    process id, unless the URL names them.
    """
    pid = str(os.getpid())
    host = socket.gethostname()[: max(0, _LONGEST_NAME - len(f"{name}  {pid}"))]
    return dialect_of(url).open_engine(
        url,
        read_only=read_only,
        primary=primary or not read_only,
        timeout_seconds=timeout_seconds,
        name=f"{name} {host} {pid}",
    )


def with_pooler(url: URL, pooler: str | None) -> URL:
    """Return a URL that tells the kind of pooler in front of a server, unless it does so already."""
    return dialect_of(url).with_pooler(url, pooler)


def display_url(url: URL) -> str:
    """Return a database's address without its password and parameters, which may be secret."""
    return dialect_of(url).display_url(url)


def database_files(url: URL) -> Sequence[Path]:
    """Return the file of a database, then those that can exist beside it; none for a server."""
    return dialect_of(url).files(url)


def database_file(url: URL) -> Path | None:
    """Return the file of a database, None for a server."""
    files = database_files(url)
    return files[0] if files else None


def watch_files(url: URL) -> FileWatch:
    """Watch the files of a database that is in use, until the result is closed."""
    return dialect_of(url).watch_files(url)
