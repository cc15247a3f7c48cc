"""How a database would carry out statements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text


class _NoRows(list[Any]):
    """What a statement returns that finds nothing."""

    cursor = None


class Explaining:
    """Stands in for a connection: asks for the plan of each statement instead of its rows.

    PostgreSQL would read a small table in sequence, so that is switched off for the transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.engine.dialect
        self._plans: list[str] = []
        if self._dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))

    @property
    def dialect(self) -> Any:
        return self._dialect

    def execute(self, statement: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        statement = statement.params(parameters or {})
        compiled = statement.compile(dialect=self._dialect, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN" if self._dialect.name == "sqlite" else "EXPLAIN"
        plan = self._connection.execute(text(f"{explain} {str(compiled).replace(':', chr(92) + ':')}"))
        self._plans += [str(row) for row in plan]
        return _NoRows()

    @property
    def plans(self) -> str:
        return "\n".join(self._plans)
