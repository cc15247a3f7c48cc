"""How a database differs from what the migrations make: they make it anew, and both are compared."""

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
    """Something that a schema is made of; a table and a view are parts of themselves."""

    table: str
    kind: str
    name: str

    def __str__(self) -> str:
        if self.kind == "column":
            return f"column {self.table}.{self.name}"
        place = "" if self.name == self.table else f" of {self.table}"
        return f"{self.kind} {self.name}{place}"


_Parts = dict[_Part, str]
"""Each part with its definition, in the words of the database."""


def differences(engine: Engine) -> list[str]:
    """Return in words how the database differs from what the migrations make, table by table.

    Views that somebody added do no harm and are no difference; what else was added is one.

    Raises:
        SchemaError: on PostgreSQL, the role may not make the schema that is compared with.
        DatabaseUnavailableError: the database cannot be read.
    """
    with reading(engine) as connection:
        if connection.dialect.name == "sqlite":
            return list(_compared(_parts(connection), _anew_in_memory()))
        return list(_compared(_parts(connection), _anew_in_scratch(connection)))


def _anew_in_memory() -> _Parts:
    engine = open_engine(URL.create("sqlite"))
    try:
        with writing(engine) as connection:
            bring_to_head(connection)
            return _parts(connection)
    finally:
        engine.dispose()


def _anew_in_scratch(connection: Connection) -> _Parts:
    """The server words definitions its own way, so it must word the right ones too; nothing of it stays."""
    if not connection.scalar(text("SELECT has_database_privilege(current_database(), 'CREATE')")):
        raise SchemaError("the check needs a role that may make schemas in the database, such as its owner")
    scratch = f"recorder_check_{secrets.token_hex(4)}"
    with connection.begin_nested() as savepoint:
        connection.execute(text(f"CREATE SCHEMA {scratch}"))
        connection.execute(text(f"SET LOCAL search_path TO {scratch}"))
        bring_to_head(connection)
        parts = _parts(connection)
        savepoint.rollback()
    return parts


def _parts(connection: Connection) -> _Parts:
    found = connection.execute(text(_QUESTIONS[connection.dialect.name]))
    parts = {_Part(table, kind, name): " ".join(words.split()) for kind, table, name, words in found}
    return parts | (_sqlite_checks(connection) if connection.dialect.name == "sqlite" else {})


def _sqlite_checks(connection: Connection) -> _Parts:
    """SQLite has no catalogue of CHECK constraints; they are read out of its tables' texts."""
    inspector = inspect(connection)
    return {
        _Part(table, "constraint", str(check["name"])): str(check["sqltext"])
        for table in inspector.get_table_names()
        for check in inspector.get_check_constraints(table)
    }


def _compared(present: _Parts, needed: _Parts) -> Iterator[str]:
    missing = _without_tables_of(needed, present)
    added = [part for part in _without_tables_of(present, needed) if part.kind != "view"]
    other = [part for part in needed if part in present and present[part] != needed[part]]
    for part in sorted([*missing, *added, *other]):
        if part not in present:
            yield f"{part}: is missing"
        elif part not in needed:
            yield f"{part}: is not this program's"
        elif part.kind == "column":
            yield f"{part}: is {present[part]}, should be {needed[part]}"
        else:
            yield f"{part}: is not as this program makes it"


def _without_tables_of(parts: Iterable[_Part], others: _Parts) -> list[_Part]:
    """The parts that are not among `others`; of a table that is not, the table alone."""
    own = [part for part in parts if part not in others]
    tables = {part.table for part in own if part.kind == "table"}
    return [part for part in own if part.kind == "table" or part.table not in tables]


_QUESTIONS = {
    "sqlite": """
        SELECT 'table' AS kind, name AS "table", name,
            CASE WHEN sql LIKE '%WITHOUT ROWID%' THEN 'without rowid' ELSE '' END AS words
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
    # What a trigger does is in its function; whether it does is in tgenabled.
    "postgresql": """
        WITH relations AS (SELECT * FROM pg_class WHERE relnamespace = current_schema()::regnamespace),
        tables AS (SELECT * FROM relations WHERE relkind IN ('r', 'p') AND NOT relispartition)
        SELECT 'table' AS kind, relname AS "table", relname AS name, relpersistence::text AS words FROM tables
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
