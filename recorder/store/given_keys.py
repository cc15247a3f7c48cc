"""Read the rows of a table that have one of many keys of several columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, CursorResult, Select

from recorder.store.dialects.base import ROWS
from recorder.store.dialects.registry import dialect_of


def rows_with(
    connection: Connection,
    statement: Select[Any],
    columns: Sequence[ColumnElement[Any]],
    keys: Sequence[tuple[Any, ...]],
) -> CursorResult[Any]:
    """Execute `statement` for the rows in which `columns`, those of an index, are one of `keys`.

    Each key is looked up. For `(a, b) IN (...)` SQLite would read the whole table instead, and SQLAlchemy
    would compile the statement anew each time.
    """
    dialect = dialect_of(connection)
    given = dialect.rows_of([column.type for column in columns])
    found = statement.where(*(column == value for column, value in zip(columns, given, strict=True)))
    return connection.execute(found, {ROWS: dialect.rows_value(keys)})
