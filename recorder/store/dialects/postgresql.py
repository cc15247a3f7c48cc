"""PostgreSQL through psycopg 3."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import URL, Connection, DateTime, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql

from recorder.store.dialects.base import (
    BUSY_TIMEOUT_SECONDS,
    CatalogueRow,
    DatabaseUrlError,
    StoreDialect,
)

_NO_PRIVILEGE = "42501"
_CANCELLED = "57014"

# What a trigger does is in its function; whether it does anything is in tgenabled.
_CATALOGUE = """
    WITH relations AS (SELECT * FROM pg_class WHERE relnamespace = current_schema()::regnamespace),
    tables AS (SELECT * FROM relations WHERE relkind IN ('r', 'p') AND NOT relispartition)
    SELECT 'table' AS kind, relname AS "table", relname AS name, relpersistence::text AS definition
    FROM tables
    UNION ALL
    SELECT 'column', t.relname, a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
        'COLLATE ' || nullif(l.collname, 'default'), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
        'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid))
    FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT 'constraint', t.relname, c.conname, pg_get_constraintdef(c.oid)
    FROM tables t JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype <> 'n'
    UNION ALL
    SELECT 'index', t.relname, i.relname,
        pg_get_indexdef(i.oid, 0, true) || CASE WHEN x.indisvalid THEN '' ELSE ' INVALID' END
    FROM tables t JOIN pg_index x ON x.indrelid = t.oid AND NOT x.indisprimary
    JOIN pg_class i ON i.oid = x.indexrelid
    UNION ALL
    SELECT 'rule', t.relname, r.rulename, pg_get_ruledef(r.oid, true)
    FROM tables t JOIN pg_rewrite r ON r.ev_class = t.oid
    UNION ALL
    SELECT 'trigger', t.relname, g.tgname,
        concat_ws(' ', pg_get_triggerdef(g.oid, true), g.tgenabled, f.prosrc)
    FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    JOIN pg_proc f ON f.oid = g.tgfoid
    UNION ALL
    SELECT 'view', relname, relname, concat_ws(' ', pg_get_viewdef(oid), reloptions)
    FROM relations WHERE relkind = 'v'"""

# Times before year 1 and infinite ones have no form of ours.
_RAW_TIME = """CASE WHEN "{0}" >= '0001-01-01 00:00:00+00'
    THEN to_char("{0}" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US"Z"')
    ELSE "{0}"\\:\\:text END AS "{0}\""""


class PostgreSQL(StoreDialect):
    """The driver is imported only where it is used: it takes a while, and SQLite does without it."""

    name = "postgresql"
    drivers = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
    url_form = "postgresql://USER@HOST/NAME"
    id_collation = "C"
    time_type = DateTime(timezone=True)
    cte_prefix = "MATERIALIZED"
    has_roles = True

    def check_url(self, url: URL) -> URL:
        from psycopg import ProgrammingError  # noqa: PLC0415
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415

        try:
            make_conninfo(**{name: str(value) for name, value in url.query.items()})
        except ProgrammingError:
            raise DatabaseUrlError("PostgreSQL does not know one of its parameters") from None
        return url.set(drivername="postgresql+psycopg")

    def open_engine(self, url: URL, *, read_only: bool, timeout_seconds: float | None) -> Engine:
        from recorder.store.dialects.postgres_timeouts import limit_waiting  # noqa: PLC0415

        options = f"-c lock_timeout={BUSY_TIMEOUT_SECONDS}s"
        options += " -c default_transaction_read_only=on" if read_only else ""
        if timeout_seconds is not None:
            options += f" -c statement_timeout={max(1, round(timeout_seconds * 1000))}"
        limits = {"connect_timeout": BUSY_TIMEOUT_SECONDS, "tcp_user_timeout": BUSY_TIMEOUT_SECONDS * 1000}
        engine = create_engine(
            url,
            pool_pre_ping=True,
            # A connection that waits for a dead server stays checked out; others must not wait for it.
            max_overflow=-1,
            hide_parameters=True,
            connect_args={"options": options, "client_encoding": "UTF8", **limits},
            isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        )
        event.listen(engine, "connect", _use_utc)
        if timeout_seconds is not None:
            limit_waiting(engine, statement_seconds=timeout_seconds, ping_seconds=BUSY_TIMEOUT_SECONDS)
        return engine

    def to_time_column(self, value: datetime) -> datetime:
        return value

    def from_time_column(self, value: datetime) -> datetime:
        return value.astimezone(UTC)

    def insert(self, table: Table) -> postgresql.Insert:
        return postgresql.insert(table)

    def seconds_between(self, start: str, end: str) -> str:
        length = f"extract(epoch FROM {end} - {start})::double precision"
        return f"CASE WHEN {length} < 0 THEN 0 ELSE {length} END"

    def time_text(self, time: str) -> str:
        return f"""to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""

    @property
    def driver_error(self) -> type[Exception]:
        from psycopg import OperationalError  # noqa: PLC0415

        return OperationalError

    def is_timeout(self, error: BaseException) -> bool:
        return getattr(error, "sqlstate", None) == _CANCELLED

    def lacks_privilege(self, error: BaseException) -> bool:
        return getattr(error, "sqlstate", None) == _NO_PRIVILEGE

    def raw_time_text(self, column: str) -> str:
        return _RAW_TIME.format(column)

    @contextmanager
    def reading_invalid_text(self, connection: Connection) -> Iterator[None]:
        # The server holds no invalid text.
        yield

    def catalogue(self, connection: Connection) -> list[CatalogueRow]:
        return [tuple(row) for row in connection.execute(text(_CATALOGUE))]

    @contextmanager
    def empty_schema(self, connection: Connection) -> Iterator[Connection]:
        if not connection.scalar(text("SELECT has_database_privilege(current_database(), 'CREATE')")):
            raise PermissionError("the role may not create a schema in the database")
        name = f"recorder_check_{secrets.token_hex(4)}"
        with connection.begin_nested() as savepoint:
            connection.execute(text(f"CREATE SCHEMA {name}"))
            connection.execute(text(f"SET LOCAL search_path TO {name}"))
            yield connection
            savepoint.rollback()


def _use_utc(connection: Any, _record: object) -> None:
    """Make the server write times in UTC and ISO 8601, whatever PGTZ and PGDATESTYLE are set to."""
    before, connection.autocommit = connection.autocommit, True
    connection.execute("SET timezone = 'UTC'; SET datestyle = 'ISO'")
    connection.autocommit = before
