"""Connections to PostgreSQL that never wait for ever.

A frozen server does not enforce its own limits. Its kernel still acknowledges what it is sent, so TCP
timeouts do not end the wait either.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from sqlalchemy import Engine, event

_GRACE_SECONDS = 2
"""How much longer than the server we wait: its own limit comes first and has the better message."""

_T = TypeVar("_T")


class TimeLimitedConnection(Connection[Any]):
    """A connection that is closed when a response takes longer than `patience_seconds` (None: any time)."""

    patience_seconds: float | None = None

    def wait(self, gen: PQGen[_T], *args: Any, **kwargs: Any) -> _T:
        """Wait for a response; every call of the driver goes through here.

        Raises:
            OperationalError: there was no response in time.
        """
        return super().wait(self._limited(gen), *args, **kwargs)

    def _limited(self, gen: PQGen[_T]) -> Generator[Any, Any, _T]:
        patience = self.patience_seconds
        deadline = None if patience is None else time.monotonic() + patience
        try:
            wanted = next(gen)
            while True:
                # The driver resumes here several times a second even if nothing has arrived.
                ready = yield wanted
                if not ready and deadline is not None and time.monotonic() > deadline:
                    self.close()
                    raise OperationalError(f"no answer for {patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            response: _T = end.value
            return response


def limit_waiting(engine: Engine, *, statement_seconds: float, ping_seconds: float) -> None:
    """Close connections of `engine` on which a response does not arrive.

    `statement_seconds` is the server's own limit for a statement. `ping_seconds` applies while a connection
    is not checked out: when it is opened, before it is handed out, and after it was returned.
    """

    @event.listens_for(engine, "connect")
    def connect(connection: TimeLimitedConnection, *_: object) -> None:
        connection.patience_seconds = ping_seconds

    @event.listens_for(engine, "checkout")
    def check_out(connection: TimeLimitedConnection, *_: object) -> None:
        connection.patience_seconds = statement_seconds + _GRACE_SECONDS

    @event.listens_for(engine, "reset")
    def check_in(connection: TimeLimitedConnection, *_: object) -> None:
        connection.patience_seconds = ping_seconds
