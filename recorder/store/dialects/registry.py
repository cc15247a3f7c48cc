"""The databases that the recorder supports, and what depends on all of them."""

from __future__ import annotations

from functools import reduce
from typing import Any

from sqlalchemy import CTE, URL, Connection, Engine, Text, TextClause
from sqlalchemy.types import TypeEngine

from recorder.store.dialects.base import StoreDialect
from recorder.store.dialects.postgresql import PostgreSQL
from recorder.store.dialects.sqlite import SQLite

DIALECTS: tuple[StoreDialect, ...] = (SQLite(), PostgreSQL())

_BY_NAME = {dialect.name: dialect for dialect in DIALECTS}

TABLE_OPTIONS = {name: value for dialect in DIALECTS for name, value in dialect.table_options.items()}
"""Keyword arguments for every table."""


def dialect_named(name: str) -> StoreDialect:
    """Return a dialect by SQLAlchemy's name for it.

    SQLAlchemy prints statements in a dialect called "default"; the one closest to standard SQL is used then.
    """
    return _BY_NAME.get(name, DIALECTS[-1])


def dialect_of(database: Engine | Connection | URL) -> StoreDialect:
    """Return the dialect of a database."""
    return dialect_named(database.get_backend_name() if isinstance(database, URL) else database.dialect.name)


def id_type() -> TypeEngine[str]:
    """Return the type of ids, which sort by their UTF-8 bytes on every database."""
    collated = [dialect for dialect in DIALECTS if dialect.id_collation is not None]
    return reduce(
        lambda type_, dialect: type_.with_variant(Text(collation=dialect.id_collation), dialect.name),
        collated,
        Text(),
    )


def partial_index(condition: TextClause) -> dict[str, Any]:
    """Return the keyword arguments that limit an index to the rows with `condition`."""
    return {f"{dialect.name}_where": condition for dialect in DIALECTS}


def evaluated_once(cte: CTE) -> CTE:
    """Return a common table expression that the database evaluates only once."""
    for dialect in DIALECTS:
        if dialect.cte_prefix is not None:
            cte = cte.prefix_with(dialect.cte_prefix, dialect=dialect.name)
    return cte
