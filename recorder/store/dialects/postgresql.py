"""PostgreSQL through psycopg 3."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    Executable,
    Table,
    Text,
    bindparam,
    cast,
    column,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.types import TypeEngine

from recorder.store.dialects.base import (
    BUSY_TIMEOUT_SECONDS,
    ROWS,
    CatalogueRow,
    ReplicaTime,
    StoreDialect,
)
from recorder.store.dialects.postgres_url import check_parameters, hosts_text

_MIGRATION_LOCK = int.from_bytes(b"recorder")
_NO_PRIVILEGE = "42501"
_CANCELLED = "57014"
_READ_ONLY = "25006"
_ENCODING = "UTF8"
# A logical replica takes writes as any primary does.
_SUBSCRIPTION = text("""
    SELECT subname FROM pg_subscription JOIN pg_subscription_rel ON srsubid = pg_subscription.oid
    WHERE srrelid = to_regclass('entries') LIMIT 1
""")
# Until a session is open, the driver gives no codes. A server that is there says FATAL. All else is about the
# network, unless it has one of the other words.
_STARTING = (
    "is starting up",
    "is shutting down",
    "in recovery mode",
    "not accepting connections",
    "not yet accepting connections",
    "cannot connect to server",
    "login has been failing",
)
_SETUP = ("password", "SSL", "certificate", "GSSAPI")
_HOSTS = "HOSTS"

# A standby has all changes up to the last commit that it replayed. If it has replayed all that it received,
# it has all that there are, unless the primary has gone silent, which is noticed after wal_receiver_timeout.
_REPLICA_TIME = """
    WITH replica AS (
        SELECT pg_last_xact_replay_timestamp() AS replayed_at,
            pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()
                AND EXISTS (SELECT FROM pg_stat_wal_receiver) AS complete,
            current_setting('wal_receiver_timeout')::interval AS silence
    )
    SELECT now(), CASE
        WHEN NOT pg_is_in_recovery() THEN interval '0'
        WHEN complete AND coalesce(now() - replayed_at >= silence, true) THEN interval '0'
        ELSE now() - replayed_at
    END
    FROM replica"""

# What a trigger does is in its function; whether it does anything is in tgenabled.
_CATALOGUE = """
    WITH relations AS (SELECT * FROM pg_class WHERE relnamespace = current_schema()::regnamespace),
    tables AS (SELECT * FROM relations WHERE relkind IN ('r', 'p') AND NOT relispartition)
    SELECT 'table' AS kind, relname AS "table", relname AS name, relpersistence::text FROM tables
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
        concat_ws(' ', pg_get_triggerdef(g.oid, true), g.tgenabled, f.provolatile, f.prosrc,
            replace(f.proconfig::text, quote_ident(current_schema()), 'its schema'))
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
    clock_query = "SELECT clock_timestamp()"
    # A standby does not list the transactions that a snapshot does not see.
    data_mark_query = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN CAST(pg_current_snapshot() AS text) END"
    has_roles = True

    def check_url(self, url: URL) -> URL:
        check_parameters(url)
        return url.set(drivername="postgresql+psycopg")

    def with_pooler(self, url: URL, pooler: str | None) -> URL:
        if pooler is None or "pooler" in url.query:
            return url
        return url.update_query_dict({"pooler": pooler})

    def display_url(self, url: URL) -> str:
        hosts = hosts_text(url)
        shown = super().display_url(url if hosts is None else url.set(host=_HOSTS, port=None))
        return shown if hosts is None else shown.replace(_HOSTS, hosts)

    def open_engine(
        self, url: URL, *, read_only: bool, primary: bool, timeout_seconds: float | None, name: str
    ) -> Engine:
        from recorder.store.dialects.postgres_sessions import SessionOptions, open_sessions  # noqa: PLC0415
        from recorder.store.dialects.postgres_timeouts import limit_waiting  # noqa: PLC0415

        engine = create_engine(
            url,
            pool_pre_ping=True,
            # A connection that waits for a dead server stays checked out; others must not wait for it.
            max_overflow=-1,
            hide_parameters=True,
            isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        )
        open_sessions(engine, SessionOptions(name, read_only, primary, timeout_seconds, BUSY_TIMEOUT_SECONDS))
        if not read_only:
            event.listen(engine, "handle_error", self._leave_read_only_server)
        if timeout_seconds is not None:
            limit_waiting(engine, statement_seconds=timeout_seconds, ping_seconds=BUSY_TIMEOUT_SECONDS)
        return engine

    def _leave_read_only_server(self, error: ExceptionContext) -> None:
        """Give up all connections once one leads to a server that became read-only: it has a successor."""
        if self.is_read_only(error.original_exception):
            error.is_disconnect = True

    def to_time_column(self, value: datetime) -> datetime:
        return value

    def from_time_column(self, value: datetime) -> datetime:
        return value.astimezone(UTC)

    def insert(self, table: Table) -> postgresql.Insert:
        return postgresql.insert(table)

    def rows_of(self, types: Sequence[TypeEngine[Any]]) -> Sequence[ColumnElement[Any]]:
        columns = [column(f"c{number}", type_) for number, type_ in enumerate(types)]
        given = func.json_to_recordset(cast(bindparam(ROWS, type_=Text), postgresql.JSON))
        return list(given.table_valued(*columns, name="given").render_derived(with_types=True).c)

    def rows_value(self, rows: Sequence[tuple[Any, ...]]) -> str:
        names = [f"c{number}" for number in range(len(rows[0]))]
        return orjson.dumps([dict(zip(names, row, strict=True)) for row in rows]).decode()

    def insertion(
        self, table: Table, rows: Sequence[Mapping[str, Any]], *, replace: bool
    ) -> tuple[Executable, Any]:
        # The driver's executemany sends a statement per row, which costs many times as much.
        statement = self._put_all(table, tuple(rows[0]), replace=replace)
        return statement, {ROWS: self.rows_value([tuple(row.values()) for row in rows])}

    @cache  # noqa: B019 (dialects live as long as the program)
    def _put_all(self, table: Table, names: tuple[str, ...], *, replace: bool) -> Executable:
        given = select(*self.rows_of([table.c[name].type for name in names]))
        return self.put(table, names, given, replace=replace)

    def seconds_between(self, start: str, end: str) -> str:
        length = f"extract(epoch FROM {end} - {start})::double precision"
        return f"CASE WHEN {length} < 0 THEN 0 ELSE {length} END"

    def digest_of_rows(self, columns: Sequence[str]) -> str:
        # A sum does not depend on the order of the rows, which would have to be sorted first.
        row = " || ' ' || ".join(f"coalesce({column}::text, '')" for column in columns)
        return f"sum(('x' || substr(md5({row}), 1, 15))::bit(60)::bigint)::text"

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

    def is_read_only(self, error: BaseException) -> bool:
        return getattr(error, "sqlstate", None) == _READ_ONLY

    def may_come(self, error: BaseException) -> bool:
        if not isinstance(error, self.driver_error):
            return False
        message = str(error)
        if "FATAL" in message:
            return any(reason in message for reason in _STARTING)
        return not any(matter in message for matter in _SETUP)

    def replica_time(self, connection: Connection) -> ReplicaTime:
        now, behind = connection.exec_driver_sql(_REPLICA_TIME).one()
        return ReplicaTime(now, behind)

    def raw_time_text(self, column: str) -> str:
        return _RAW_TIME.format(column)

    @contextmanager
    def reading_invalid_text(self, connection: Connection) -> Iterator[None]:
        # The server holds no invalid text.
        yield

    @contextmanager
    def begin_alone(self, connection: Connection) -> Iterator[None]:
        with connection.begin():
            self.allow_idling(connection)
            limit = connection.scalar(text("SHOW lock_timeout"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            # This lock ends with the transaction, also on a pooler's server.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": limit})
            yield

    def allow_idling(self, connection: Connection) -> None:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))

    def current_schema(self, connection: Connection) -> str | None:
        name: str | None = connection.scalar(text("SELECT current_schema()"))
        return name

    def unsuitable(self, connection: Connection) -> str | None:
        encoding = connection.scalar(text("SHOW server_encoding"))
        if encoding != _ENCODING:
            return (
                f"the database's encoding is {encoding}, which cannot hold every text; create one with: "
                f"CREATE DATABASE name TEMPLATE template0 ENCODING '{_ENCODING}'"
            )
        if self.current_schema(connection) is None:
            path = connection.scalar(text("SHOW search_path"))
            return f"there is no schema of the search path {path}; create one with: CREATE SCHEMA name"
        return None

    def fed_by(self, connection: Connection) -> str | None:
        name: str | None = connection.scalar(_SUBSCRIPTION)
        return name

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
