"""The database as the enrolment routes open it: they are the only ones that write."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from recorder.clock import Clock
from recorder.ledger.transitions import Rules
from recorder.store.database_clock import clock_of
from recorder.store.engine import database_file
from recorder.store.schema import require_head, state_in
from recorder.store.transactions import DatabaseUnavailableError, reading


@dataclass(frozen=True, slots=True)
class EnrolmentDatabase:
    """An engine that may write, the rules of new watches, and the clock (None: the database's)."""

    engine: Engine
    rules: Rules
    now: Clock | None = None

    def clock(self) -> Clock:
        """Return the clock, once it is clear that the database can be written to as it is.

        Raises:
            DatabaseUnavailableError: it cannot be read.
            SchemaError: its schema is not at head.
        """
        path = database_file(self.engine.url)
        if path is not None and not path.is_file():
            # Opening it would create it.
            raise DatabaseUnavailableError(f"there is no file {path}")
        with reading(self.engine) as connection:
            require_head(state_in(connection))
            return self.now or clock_of(connection)
