"""Opening a database so that both kinds behave alike."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from recorder.store.timeouts import limit_waiting

BUSY_TIMEOUT_SECONDS = 5
_DEADLINE = "recorder_deadline"
_FILE = "recorder_file"
_SQLITE_STEPS = 10_000
IMMEDIATE = "recorder_immediate"
"""Execution option of a connection: its transactions take SQLite's write lock when they begin."""


class DatabaseUrlError(ValueError):
    """The text is not the address of a database that the recorder can use."""


def check_url(text: str) -> URL:
    """Read a database URL; `postgresql://` means psycopg 3.

    Raises:
        DatabaseUrlError: with what is allowed instead. The text is not repeated: it may hold a password.
    """
    allowed = "allowed: sqlite:///FILE or postgresql://USER@HOST/NAME"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseUrlError(f"not a database URL; {allowed}") from None
    if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        try:
            make_conninfo(**{name: str(value) for name, value in url.query.items()})
        except ProgrammingError:
            raise DatabaseUrlError(f"PostgreSQL does not know one of its parameters; {allowed}") from None
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in {"sqlite", "sqlite+pysqlite"}:
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise DatabaseUrlError("a database in memory cannot be shared by recorder and API; " + allowed)
        if url.host or url.username or url.password or url.query:
            raise DatabaseUrlError(f"SQLite takes a file and nothing else; {allowed}")
        return url.set(drivername="sqlite")
    raise DatabaseUrlError(f"no driver for {url.drivername!r}; {allowed}")


def open_engine(url: URL, *, read_only: bool = False, timeout_seconds: float | None = None) -> Engine:
    """Open a database; `read_only` makes the database itself refuse every write.

    A statement that works for longer than `timeout_seconds` is given up by the database; a PostgreSQL server
    that does not even do that is given up a little later.
    """
    if url.get_backend_name() == "sqlite":
        engine = _open_sqlite(url, read_only=read_only)
        if timeout_seconds is not None:
            _limit_sqlite(engine, timeout_seconds)
        return engine
    options = f"-c lock_timeout={BUSY_TIMEOUT_SECONDS}s"
    options += " -c default_transaction_read_only=on" if read_only else ""
    if timeout_seconds is not None:
        options += f" -c statement_timeout={max(1, round(timeout_seconds * 1000))}"
    patience = {"connect_timeout": BUSY_TIMEOUT_SECONDS, "tcp_user_timeout": BUSY_TIMEOUT_SECONDS * 1000}
    engine = create_engine(
        url,
        pool_pre_ping=True,
        # A connection that nobody answers on stays taken; it must not use up the room of the others.
        max_overflow=-1,
        hide_parameters=True,
        connect_args={"options": options, "client_encoding": "UTF8", **patience},
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
    )
    event.listen(engine, "connect", _speak_plainly)
    if timeout_seconds is not None:
        limit_waiting(engine, statement_seconds=timeout_seconds, ping_seconds=BUSY_TIMEOUT_SECONDS)
    return engine


def _speak_plainly(connection: Any, _record: object) -> None:
    """Times in UTC and ISO 8601, whatever the environment (PGTZ, PGDATESTYLE) has asked the driver for."""
    was, connection.autocommit = connection.autocommit, True
    connection.execute("SET timezone = 'UTC'; SET datestyle = 'ISO'")
    connection.autocommit = was


def _open_sqlite(url: URL, *, read_only: bool) -> Engine:
    path = Path(str(url.database)).absolute()
    if read_only:
        url = url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    if read_only:
        _follow_file(engine, path)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver must not begin transactions by itself: the hook below does, and for DDL too.
        connection.isolation_level = None
        pragmas = ["foreign_keys = ON", f"busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}"]
        pragmas += ["query_only = ON"] if read_only else ["journal_mode = WAL", "synchronous = FULL"]
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(IMMEDIATE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _follow_file(engine: Engine, path: Path) -> None:
    """Let no connection outlive the file that it opened: it would go on reading one that was moved away.

    A pool asks before it hands out a connection; one that is refused is opened anew.
    """

    @event.listens_for(engine, "connect")
    def remember(_connection: Any, record: Any) -> None:
        record.info[_FILE] = _identity(path)

    @event.listens_for(engine, "checkout")
    def compare(_connection: Any, record: Any, _proxy: object) -> None:
        if record.info[_FILE] != _identity(path):
            raise DisconnectionError("the file is another one now")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _limit_sqlite(engine: Engine, timeout_seconds: float) -> None:
    """SQLite has no limit of its own: it asks now and then whether it should go on."""

    @event.listens_for(engine, "connect")
    def ask(connection: Any, record: Any) -> None:
        record.info[_DEADLINE] = None

        def is_late() -> bool:
            deadline = record.info[_DEADLINE]
            return deadline is not None and time.monotonic() > deadline

        connection.set_progress_handler(is_late, _SQLITE_STEPS)

    @event.listens_for(engine, "before_cursor_execute")
    def begin(connection: Connection, *_: object) -> None:
        connection.info[_DEADLINE] = time.monotonic() + timeout_seconds
