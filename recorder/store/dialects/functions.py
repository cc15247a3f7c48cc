"""SQL functions that each database spells in its own way."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from recorder.store.dialects.registry import dialect_named


class seconds_between(GenericFunction[float]):  # noqa: N801 (it is called like the other SQL functions)
    """The seconds from one time to another, exact to the microsecond; 0 if negative, NULL if either is."""

    type = Float()
    inherit_cache = True


@compiles(seconds_between)
def _compile_seconds(element: Any, compiler: Any, **kw: Any) -> str:
    start, end = (compiler.process(time, **kw) for time in element.clauses)
    return dialect_named(compiler.dialect.name).seconds_between(start, end)


class time_text(GenericFunction[str]):  # noqa: N801 (it is called like the other SQL functions)
    """A time as text in the recorder's own form."""

    type = Text()
    inherit_cache = True


@compiles(time_text)
def _compile_text(element: Any, compiler: Any, **kw: Any) -> str:
    return dialect_named(compiler.dialect.name).time_text(compiler.process(element.clauses, **kw))


class digest_of_rows(GenericFunction[str]):  # noqa: N801 (it is called like the other SQL functions)
    """An aggregate of texts and numbers that differs whenever a row does; NULL without rows."""

    type = Text()
    inherit_cache = True


@compiles(digest_of_rows)
def _compile_digest(element: Any, compiler: Any, **kw: Any) -> str:
    columns = [compiler.process(column, **kw) for column in element.clauses]
    return dialect_named(compiler.dialect.name).digest_of_rows(columns)
