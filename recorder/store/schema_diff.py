"""Compare a database with a second one that the migrations create for the purpose."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import URL, Connection, Engine, inspect, text

from recorder.store.engine import open_engine
from recorder.store.schema import SchemaError, bring_to_head
from recorder.store.transactions import reading, writing


@dataclass(frozen=True, slots=True, order=True)
class _Part:
    """A table or view, or something that belongs to one."""

    table: str
    kind: str
    name: str

    def __str__(self) -> str:
        if self.kind == "column":
            return f"column {self.table}.{self.name}"
        place = "" if self.name == self.table else f" of {self.table}"
        return f"{self.kind} {self.name}{place}"


_Parts = dict[_Part, str]
"""Each part with its definition as the database words it."""


def differences(engine: Engine) -> list[str]:
    """Return how the database differs from what the migrations create: a line for each difference, by table.

    Views that somebody added are harmless and not reported; anything else that was added is.

    Raises:
        SchemaError: on PostgreSQL, the role may not create the schema needed for the comparison.
        DatabaseUnavailableError: the database cannot be read.
    """
    with reading(engine) as connection:
        if connection.dialect.name == "sqlite":
            return list(_compare(_parts(connection), _expected_in_memory()))
        return list(_compare(_parts(connection), _expected_in_scratch_schema(connection)))


def _expected_in_memory() -> _Parts:
    engine = open_engine(URL.create("sqlite"))
    try:
        with writing(engine) as connection:
            bring_to_head(connection)
            return _parts(connection)
    finally:
        engine.dispose()


def _expected_in_scratch_schema(connection: Connection) -> _Parts:
    """Migrate a temporary schema: the server rewrites definitions, so only its own output can be compared."""
    if not connection.scalar(text("SELECT has_database_privilege(current_database(), 'CREATE')")):
        raise SchemaError("the check needs a role that may create schemas in the database, such as its owner")
    scratch = f"recorder_check_{secrets.token_hex(4)}"
    with connection.begin_nested() as savepoint:
        connection.execute(text(f"CREATE SCHEMA {scratch}"))
        connection.execute(text(f"SET LOCAL search_path TO {scratch}"))
        bring_to_head(connection)
        parts = _parts(connection)
        savepoint.rollback()
    return parts


def _parts(connection: Connection) -> _Parts:
    found = connection.execute(text(_CATALOG_QUERIES[connection.dialect.name]))
    parts = {
        _Part(table, kind, name): " ".join(definition.split()) for kind, table, name, definition in found
    }
    return parts | (_sqlite_checks(connection) if connection.dialect.name == "sqlite" else {})


def _sqlite_checks(connection: Connection) -> _Parts:
    """SQLite has no catalog of CHECK constraints: SQLAlchemy parses them from the CREATE TABLE statements."""
    inspector = inspect(connection)
    return {
        _Part(table, "constraint", str(check["name"])): str(check["sqltext"])
        for table in inspector.get_table_names()
        for check in inspector.get_check_constraints(table)
    }


def _compare(present: _Parts, expected: _Parts) -> Iterator[str]:
    missing = _missing_from(present, expected)
    added = [part for part in _missing_from(expected, present) if part.kind != "view"]
    changed = [part for part in expected if part in present and present[part] != expected[part]]
    for part in sorted([*missing, *added, *changed]):
        if part not in present:
            yield f"{part}: is missing"
        elif part not in expected:
            yield f"{part}: is not this program's"
        elif part.kind == "column":
            yield f"{part}: is {present[part]}, should be {expected[part]}"
        else:
            yield f"{part}: differs from this program's"


def _missing_from(parts: _Parts, others: Iterable[_Part]) -> list[_Part]:
    """Return which of `others` are not among `parts`; for a table, without its columns and the like."""
    missing = [part for part in others if part not in parts]
    tables = {part.table for part in missing if part.kind == "table"}
    return [part for part in missing if part.kind == "table" or part.table not in tables]


_CATALOG_QUERIES = {
    "sqlite": """
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
        WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL""",
    # A trigger's action is in its function; tgenabled has whether it fires.
    "postgresql": """
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
        FROM relations WHERE relkind = 'v'""",
}
