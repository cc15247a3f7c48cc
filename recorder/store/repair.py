"""Make anew what a restore can lose: triggers and their state, views, indexes, derived tables."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Engine, text

from recorder.store import archive_tables, run_tables  # noqa: F401 (add their tables to the metadata)
from recorder.store.grants import DERIVED
from recorder.store.guards import guards_of
from recorder.store.schema_diff import SchemaDifference, find_differences
from recorder.store.tables import metadata
from recorder.store.transactions import migrating
from recorder.store.views import VIEWS, create_view_statements

_RAW = {"no_parameters": True}
"""A percent sign is no placeholder."""


def repair_schema(engine: Engine) -> list[str]:
    """Make anew the parts of the schema that differ and hold nothing of their own; return what was done.

    All or nothing is done. What cannot be made anew still differs afterwards.

    Raises:
        SchemaError: on PostgreSQL, the role may not create the schema needed for the comparison.
        DatabaseUnavailableError: the database cannot be changed, such as by a role that is not its owner.
    """
    done: list[str] = []
    # A table comes first: a view or index of it can only be compared once it is there.
    for step in (_tables, _indexes, _triggers, _views):
        found = find_differences(engine)
        with migrating(engine) as connection:
            done += step(connection, found)
    return done


def _tables(connection: Connection, found: list[SchemaDifference]) -> Iterator[str]:
    for one in found:
        if one.part.kind == "table" and one.part.name in DERIVED and one.how == "is missing":
            metadata.tables[one.part.name].create(connection)
            yield f"{one.part}: created"


def _indexes(connection: Connection, found: list[SchemaDifference]) -> Iterator[str]:
    known = {str(index.name): index for table in metadata.tables.values() for index in table.indexes}
    for one in found:
        index = known.get(one.part.name)
        if one.part.kind == "index" and index is not None:
            index.drop(connection, checkfirst=True)
            index.create(connection)
            yield f"{one.part}: created"


def _triggers(connection: Connection, found: list[SchemaDifference]) -> Iterator[str]:
    known = {(guard.table, guard.name): guard for guard in guards_of(connection.dialect.name)}
    for one in found:
        guard = known.get((one.part.table, one.part.name))
        if one.part.kind == "trigger" and guard is not None:
            connection.execute(text(guard.drop))
            for statement in guard.create:
                connection.exec_driver_sql(statement, execution_options=_RAW)
            yield f"{one.part}: created and enabled"


def _views(connection: Connection, found: list[SchemaDifference]) -> Iterator[str]:
    statements = create_view_statements(connection.dialect.name)
    for one in found:
        if one.part.kind == "view" and one.part.name in VIEWS:
            connection.execute(text(f"DROP VIEW IF EXISTS {one.part.name}"))
            connection.exec_driver_sql(statements[one.part.name], execution_options=_RAW)
            yield f"{one.part}: created"
