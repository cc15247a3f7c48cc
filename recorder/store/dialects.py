"""SQL that the databases spell differently."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


class seconds_between(GenericFunction[float]):  # noqa: N801 - it is called like the SQL functions
    """The seconds from one time to another, exact to the microsecond; 0 if negative, NULL if one is."""

    type = Float()
    inherit_cache = True


@compiles(seconds_between, "sqlite")
def _sqlite_seconds(element: Any, compiler: Any, **kw: Any) -> str:
    start, end = (compiler.process(time, **kw) for time in element.clauses)
    # SQLite's functions for times round to milliseconds: they get whole seconds only.
    whole = f"strftime('%s', substr({end}, 1, 19)) - strftime('%s', substr({start}, 1, 19))"
    micros = f"substr({end}, 21, 6) - substr({start}, 21, 6)"
    return f"max(0.0, (({whole}) * 1000000 + {micros}) / 1000000.0)"


@compiles(seconds_between, "postgresql")
def _postgresql_seconds(element: Any, compiler: Any, **kw: Any) -> str:
    start, end = (compiler.process(time, **kw) for time in element.clauses)
    length = f"extract(epoch FROM {end} - {start})::double precision"
    return f"CASE WHEN {length} < 0 THEN 0 ELSE {length} END"


class time_text(GenericFunction[str]):  # noqa: N801 - it is called like the SQL functions
    """A time as text in our own form."""

    type = Text()
    inherit_cache = True


@compiles(time_text, "sqlite")
def _sqlite_text(element: Any, compiler: Any, **kw: Any) -> str:
    return str(compiler.process(element.clauses, **kw))


@compiles(time_text, "postgresql")
def _postgresql_text(element: Any, compiler: Any, **kw: Any) -> str:
    time = compiler.process(element.clauses, **kw)
    return f"""to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
