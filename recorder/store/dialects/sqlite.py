"""SQLite: one file, times as text, one writer at a time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import orjson
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Table,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    inspect,
    literal_column,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

from recorder.ledger.timestamps import format_time, parse_time
from recorder.store.dialects.base import (
    BUSY_TIMEOUT_SECONDS,
    ROWS,
    WRITING,
    CatalogueRow,
    DatabaseUrlError,
    StoreDialect,
)
from recorder.store.dialects.sqlite_files import (
    SQLiteFileWatch,
    explain_refusal,
    follow_file,
    refuse_lost_file,
)

_DEADLINE = "recorder_deadline"
_STEPS_BETWEEN_CHECKS = 10_000
_INTERRUPTED = "interrupted"
_INVALID_TEXT = "Could not decode to UTF-8"
_WAL = "journal_mode = WAL"
_WAL_LIMIT = f"journal_size_limit = {4 * 2**20}"
"""In bytes. The WAL grows while a reader holds an old snapshot; once it has ended, it is cut to this size."""
_MIGRATION_SECONDS = 3600
"""How long to wait for a migration that is under way."""
_SIDE_FILES = ("-wal", "-shm")

_CATALOGUE = """
    SELECT 'table' AS kind, name AS "table", name,
        CASE WHEN sql LIKE '%WITHOUT ROWID%' THEN 'without rowid' ELSE '' END AS definition
    FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
    UNION ALL
    SELECT 'column', m.name, c.name, c.type
        || CASE WHEN c."notnull" THEN ' NOT NULL' ELSE '' END
        || coalesce(' DEFAULT ' || c.dflt_value, '')
        || CASE WHEN c.pk THEN ' PRIMARY KEY ' || c.pk ELSE '' END
    FROM sqlite_master m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite~_%' ESCAPE '~'
    UNION ALL
    SELECT type, tbl_name, name, sql FROM sqlite_master
    WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL"""


class SQLite(StoreDialect):
    name = "sqlite"
    drivers = frozenset({"sqlite", "sqlite+pysqlite"})
    url_form = "sqlite:///FILE"
    table_options: ClassVar[Mapping[str, Any]] = {"sqlite_with_rowid": False}
    time_type = Text()
    data_mark_query = "PRAGMA data_version"
    has_roles = False

    def check_url(self, url: URL) -> URL:
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise DatabaseUrlError("a database in memory cannot be shared by recorder and API")
        if url.host or url.username or url.password or url.query:
            raise DatabaseUrlError("SQLite takes a file and nothing else")
        return url.set(drivername="sqlite")

    def display_url(self, url: URL) -> str:
        # A relative path would not tell one working folder's database from another's.
        return super().display_url(url.set(database=str(Path(str(url.database)).absolute())))

    def open_engine(
        self, url: URL, *, read_only: bool, primary: bool, timeout_seconds: float | None, name: str
    ) -> Engine:
        path = Path(str(url.database)).absolute()
        if read_only:
            url = url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
        if read_only:
            follow_file(engine, path)
        else:
            refuse_lost_file(engine, path)
        explain_refusal(engine, path, read_only=read_only)
        _prepare(engine, read_only=read_only)
        if timeout_seconds is not None:
            _limit_statements(engine, timeout_seconds)
        return engine

    def files(self, url: URL) -> Sequence[Path]:
        path = Path(str(url.database))
        return path, *(path.with_name(f"{path.name}{end}") for end in _SIDE_FILES)

    def watch_files(self, url: URL) -> SQLiteFileWatch:
        return SQLiteFileWatch([path.absolute() for path in self.files(url)])

    def to_time_column(self, value: datetime) -> str:
        return format_time(value)

    def from_time_column(self, value: str) -> datetime:
        return parse_time(value)

    def insert(self, table: Table) -> sqlite.Insert:
        return sqlite.insert(table)

    def rows_of(self, types: Sequence[TypeEngine[Any]]) -> Sequence[ColumnElement[Any]]:
        row = func.json_each(bindparam(ROWS, type_=Text)).table_valued("value", name="given").c.value
        return [
            func.json_extract(row, literal_column(f"'$[{number}]'"), type_=type_)
            for number, type_ in enumerate(types)
        ]

    def rows_value(self, rows: Sequence[tuple[Any, ...]]) -> str:
        return orjson.dumps(rows, default=format_time, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()

    def write_rows(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        *,
        replace: bool = False,
    ) -> None:
        if rows:
            statement, names = self._put_each(table, tuple(rows[0]), replace=replace)
            # SQLAlchemy would call a function for each value, but only times have to be converted.
            values = [tuple([_stored(row[name]) for name in names]) for row in rows]
            connection.exec_driver_sql(statement, values)

    @cache  # noqa: B019 (dialects live as long as the program)
    def _put_each(self, table: Table, names: tuple[str, ...], *, replace: bool) -> tuple[str, list[str]]:
        """Return the statement that inserts a row, and the columns in the order of its parameters."""
        statement: Any = self.put(table, names, None, replace=replace)
        compiled = statement.compile(dialect=sqlite.dialect(), column_keys=names)
        return str(compiled), list(compiled.positiontup)

    def seconds_between(self, start: str, end: str) -> str:
        # SQLite's time functions round to milliseconds, so they are given whole seconds only.
        whole = f"strftime('%s', substr({end}, 1, 19)) - strftime('%s', substr({start}, 1, 19))"
        micros = f"substr({end}, 21, 6) - substr({start}, 21, 6)"
        return f"max(0.0, (({whole}) * 1000000 + {micros}) / 1000000.0)"

    def digest_of_rows(self, columns: Sequence[str]) -> str:
        # There is no hash function. Rows come in the order of the primary key.
        row = " || ' ' || ".join(f"coalesce({column}, '')" for column in columns)
        return f"group_concat({row})"

    def time_text(self, time: str) -> str:
        return time

    @property
    def driver_error(self) -> type[Exception]:
        return sqlite3.OperationalError

    def is_timeout(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.OperationalError) and str(error) == _INTERRUPTED

    def raw_time_text(self, column: str) -> str:
        return f'"{column}"'

    @contextmanager
    def reading_invalid_text(self, connection: Connection) -> Iterator[None]:
        driver: Any = connection.connection.driver_connection
        driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            yield
        finally:
            driver.text_factory = str

    def is_invalid_text(self, error: BaseException) -> bool:
        return _INVALID_TEXT in str(error)

    @contextmanager
    def begin_alone(self, connection: Connection) -> Iterator[None]:
        driver: Any = connection.connection.driver_connection
        _set_busy_timeout(driver, _MIGRATION_SECONDS)
        try:
            with connection.begin():
                yield
        finally:
            _set_busy_timeout(driver, BUSY_TIMEOUT_SECONDS)

    def catalogue(self, connection: Connection) -> list[CatalogueRow]:
        parts: list[CatalogueRow] = [tuple(row) for row in connection.execute(text(_CATALOGUE))]
        # No catalogue lists CHECK constraints; SQLAlchemy parses them out of the CREATE TABLE statements.
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            for check in inspector.get_check_constraints(table):
                parts.append(("constraint", table, str(check["name"]), str(check["sqltext"])))
        return parts

    def shrink(self, connection: Connection, pages: int) -> bool:
        # Where auto_vacuum is not incremental, this does nothing.
        free = text("PRAGMA freelist_count")
        before = connection.scalar(free) or 0
        driver: Any = connection.connection.driver_connection
        # Every row that is fetched frees a page.
        driver.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
        after = connection.scalar(free) or 0
        return 0 < after < before

    @contextmanager
    def empty_schema(self, connection: Connection) -> Iterator[Connection]:
        engine = self.open_engine(
            URL.create("sqlite"), read_only=False, primary=True, timeout_seconds=None, name=""
        )
        try:
            with engine.connect() as in_memory, in_memory.begin():
                yield in_memory
        finally:
            engine.dispose()


def _stored(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value


def _set_busy_timeout(driver: Any, seconds: float) -> None:
    driver.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}").close()


def _prepare(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # The driver must not begin transactions: the hook below does, and before DDL too.
        connection.isolation_level = None
        _set_busy_timeout(connection, BUSY_TIMEOUT_SECONDS)
        pragmas = ["foreign_keys = ON"]
        pragmas += ["query_only = ON"] if read_only else [_WAL, "synchronous = FULL", _WAL_LIMIT]
        if not read_only and _is_foreign(connection):
            pragmas.remove(_WAL)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get(WRITING)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _is_foreign(connection: Any) -> bool:
    """Whether a database has tables, but not ours: another program's, whose file stays as it is."""
    found = connection.execute("SELECT count(*), sum(name = 'watches') FROM sqlite_master").fetchone()
    return bool(found[0]) and not found[1]


def _limit_statements(engine: Engine, timeout_seconds: float) -> None:
    """Interrupt statements that take too long: SQLite has no such limit, but calls back while it works."""

    @event.listens_for(engine, "connect")
    def install(connection: Any, record: Any) -> None:
        record.info[_DEADLINE] = None

        def is_late() -> bool:
            deadline = record.info[_DEADLINE]
            return deadline is not None and time.monotonic() > deadline

        connection.set_progress_handler(is_late, _STEPS_BETWEEN_CHECKS)

    @event.listens_for(engine, "before_cursor_execute")
    def start(connection: Connection, *_: object) -> None:
        connection.info[_DEADLINE] = time.monotonic() + timeout_seconds
