"""What a revision checks before it drops anything. Plain SQL: revisions import nothing of the recorder.

Each check reads the database, so none is possible where Alembic only prints a script (`--sql`).
"""

from __future__ import annotations

import re
import sqlite3

import sqlalchemy as sa
from alembic import context, op
from alembic.util import CommandError

_POSTGRESQL_DEPENDENTS = """
    WITH RECURSIVE dependents(oid) AS (
        SELECT r.ev_class FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) name)
            AND (CAST(:column AS text) IS NULL OR d.refobjsubid = (
                SELECT attnum FROM pg_attribute WHERE attrelid = d.refobjid AND attname = :column))
        UNION
        SELECT r.ev_class FROM dependents p
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = p.oid
        JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    )
    SELECT c.oid::regclass::text FROM pg_class c JOIN dependents USING (oid)
    WHERE c.relkind IN ('v', 'm') AND c.oid NOT IN (
        SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) name WHERE to_regclass(name) IS NOT NULL)
    ORDER BY 1"""

_SQLITE_SCHEMA_ERROR = re.compile(r"error in (view|trigger) (.+?)(?: after drop column)?: (.*)", re.DOTALL)


def lock_ledger() -> None:
    """Keep recorders from writing until the transaction ends; on SQLite it has the write lock already."""
    connection = _connection()
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE watches, entries IN ACCESS EXCLUSIVE MODE"))


def refuse_to_discard_entries() -> None:
    """Refuse to go on while the ledger has entries, unless `-x discard_ledger=yes` allows it.

    Raises:
        CommandError: the text has the number of entries, and how to drop them anyway.
    """
    lock_ledger()
    if context.get_x_argument(as_dictionary=True).get("discard_ledger") == "yes":
        return
    count = _connection().scalar(sa.text("SELECT count(*) FROM entries"))
    if count:
        raise CommandError(
            f"the ledger has {count} {'entry' if count == 1 else 'entries'}, which cannot be recorded again; "
            "to drop the ledger anyway, use recorder db downgrade --discard-ledger "
            "or alembic -x discard_ledger=yes downgrade"
        )


def refuse_entries(condition: str, what: str) -> None:
    """Refuse to go on while the ledger has entries that the program at the older revision cannot read.

    `condition` is SQL, and `what` names the entries.

    Raises:
        CommandError: the text has the number of entries.
    """
    if context.get_x_argument(as_dictionary=True).get("discard_ledger") == "yes":
        return
    count = _connection().scalar(sa.text(f"SELECT count(*) FROM entries WHERE {condition}"))
    if count:
        raise CommandError(
            f"the ledger has {count} {what}, which the program at the older revision cannot read; "
            "nothing was changed"
        )


def refuse_rows(table: str, what: str, why: str) -> None:
    """Refuse to go on while `table` has a row for any group, unless `-x discard_ledger=yes` allows it.

    Raises:
        CommandError: the text has the number of groups; `what` they are, and `why` the rows must not go.
    """
    if context.get_x_argument(as_dictionary=True).get("discard_ledger") == "yes":
        return
    count = _connection().scalar(sa.text(f"SELECT count(*) FROM {table}"))
    if count:
        groups = "1 group is" if count == 1 else f"{count} groups are"
        raise CommandError(f"{groups} {what}, {why}; nothing was changed")


def refuse_dependent_views(*names: str, column: str | None = None) -> None:
    """Refuse to go on while other views depend on tables or views that are about to be dropped.

    With `column` only that column of theirs will be dropped.

    Raises:
        CommandError: the text names the views.
    """
    connection = _connection()
    find = _on_postgresql if connection.dialect.name == "postgresql" else _on_sqlite
    views = find(connection, names, column)
    if views:
        raise CommandError(
            f"{', '.join(views)}: {'this view depends' if len(views) == 1 else 'these views depend'} on what "
            "would be dropped; nothing was changed. Drop and recreate your own views around the migration"
        )


def drop_column(table: str, column: str) -> None:
    """Drop a column on which no views of others depend.

    SQLite compiles all views and triggers again, and refuses if it cannot.

    Raises:
        CommandError: the text names the views, or the view or trigger that SQLite cannot compile.
    """
    refuse_dependent_views(table, column=column)
    try:
        op.drop_column(table, column)
    except sa.exc.OperationalError as error:
        found = _SQLITE_SCHEMA_ERROR.fullmatch(str(error.orig))
        if found is None:
            raise
        kind, name, reason = found.groups()
        raise CommandError(
            f"{name}: this {kind} cannot be compiled ({reason}), which keeps SQLite from dropping the column "
            f"{table}.{column}; nothing was changed. Drop the {kind} and try again"
        ) from None


def _connection() -> sa.Connection:
    if context.is_offline_mode():
        raise CommandError(
            "a downgrade looks at the database before it drops anything, so it cannot be printed as a script"
        )
    return op.get_bind()


def _on_postgresql(connection: sa.Connection, names: tuple[str, ...], column: str | None) -> list[str]:
    parameters = {"names": list(names), "column": column}
    return list(connection.scalars(sa.text(_POSTGRESQL_DEPENDENTS), parameters))


def _on_sqlite(connection: sa.Connection, names: tuple[str, ...], column: str | None) -> list[str]:
    """SQLite keeps no list of what a view depends on, but reports what it reads when it prepares a query."""
    views = connection.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name"))
    return [
        view
        for view in views.all()
        if view not in names
        and any(
            table in names and (column is None or read == column)
            for table, read in _reads_of(connection, view)
        )
    ]


def _reads_of(connection: sa.Connection, view: str) -> set[tuple[str, str]]:
    """Return the tables and columns that a view reads; none if it is broken already."""
    reads: set[tuple[str, str]] = set()

    def note(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ:
            reads.add((str(table), str(column)))
        return sqlite3.SQLITE_OK

    driver = connection.connection.driver_connection
    driver.set_authorizer(note)
    try:
        quoted = view.replace('"', '""')
        connection.exec_driver_sql(f'EXPLAIN SELECT * FROM "{quoted}"')
    except sa.exc.DBAPIError:
        return set()
    finally:
        driver.set_authorizer(None)
    return reads
