"""Compare a database with a second one that the migrations create for the purpose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from recorder.store.dialects.base import StoreDialect
from recorder.store.dialects.registry import dialect_of
from recorder.store.migrate import bring_to_head
from recorder.store.schema import SchemaError, is_of_backup_tool
from recorder.store.transactions import reading


@dataclass(frozen=True, slots=True, order=True)
class SchemaPart:
    """A table or view, or something that belongs to one."""

    table: str
    kind: str
    name: str

    def __str__(self) -> str:
        if self.kind == "column":
            return f"column {self.table}.{self.name}"
        place = "" if self.name == self.table else f" of {self.table}"
        return f"{self.kind} {self.name}{place}"


_Parts = dict[SchemaPart, str]
"""Each part with its definition as the database words it."""


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """A part that differs from what the migrations create, and how, in words."""

    part: SchemaPart
    how: str

    def __str__(self) -> str:
        return f"{self.part}: {self.how}"


def differences(engine: Engine) -> list[str]:
    """Return how the database differs from what the migrations create: a line for each difference.

    Raises:
        SchemaError, DatabaseUnavailableError: as `find_differences` does.
    """
    return list(map(str, find_differences(engine)))


def find_differences(engine: Engine) -> list[SchemaDifference]:
    """Return how the database differs from what the migrations create, by table.

    Views that somebody added are harmless and not reported, and neither are the tables of a backup tool;
    anything else that was added is.

    Raises:
        SchemaError: on PostgreSQL, the role may not create the schema needed for the comparison.
        DatabaseUnavailableError: the database cannot be read.
    """
    dialect = dialect_of(engine)
    with reading(engine) as connection:
        # The migrations may compute for seconds between two statements.
        dialect.allow_idling(connection)
        present = _parts(dialect, connection)
        try:
            with dialect.empty_schema(connection) as empty:
                bring_to_head(empty)
                expected = _parts(dialect, empty)
        except PermissionError:
            needed = "a role that may create schemas in the database, such as its owner"
            raise SchemaError(f"the check needs {needed}") from None
    return list(_compare(present, expected))


def _parts(dialect: StoreDialect, connection: Connection) -> _Parts:
    found = dialect.catalogue(connection)
    return {
        SchemaPart(table, kind, name): " ".join(definition.split()) for kind, table, name, definition in found
    }


def _compare(present: _Parts, expected: _Parts) -> Iterator[SchemaDifference]:
    missing = _missing_from(present, expected)
    added = [
        part
        for part in _missing_from(expected, present)
        if part.kind != "view" and not is_of_backup_tool(part.table)
    ]
    changed = [part for part in expected if part in present and present[part] != expected[part]]
    for part in sorted([*missing, *added, *changed]):
        if part not in present:
            yield SchemaDifference(part, "is missing")
        elif part not in expected:
            yield SchemaDifference(part, "is not this program's")
        elif part.kind == "column":
            yield SchemaDifference(part, f"is {present[part]}, should be {expected[part]}")
        else:
            yield SchemaDifference(part, "differs from this program's")


def _missing_from(parts: _Parts, others: Iterable[SchemaPart]) -> list[SchemaPart]:
    """Return which of `others` are not among `parts`; for a table, without its columns and the like."""
    missing = [part for part in others if part not in parts]
    tables = {part.table for part in missing if part.kind == "table"}
    return [part for part in missing if part.kind == "table" or part.table not in tables]
