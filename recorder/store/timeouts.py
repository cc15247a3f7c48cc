"""Connections to PostgreSQL on which nobody waits for ever.

A server that is frozen keeps none of its own limits; and since its kernel still acknowledges what it is sent,
no timeout of TCP ends the wait either.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from sqlalchemy import Engine, event

_GRACE_SECONDS = 2
"""How much later than the server we give up: a limit of its own comes first, and says more."""

_T = TypeVar("_T")


class TimeLimitedConnection(Connection[Any]):
    """A connection that is closed once an answer on it has not come for `patience_seconds`."""

    patience_seconds: float

    def wait(self, gen: PQGen[_T], *args: Any, **kwargs: Any) -> _T:
        """Wait as every call of the driver does.

        Raises:
            OperationalError: the answer has not come.
        """
        return super().wait(self._limited(gen), *args, **kwargs)

    def _limited(self, gen: PQGen[_T]) -> Generator[Any, Any, _T]:
        deadline = time.monotonic() + self.patience_seconds
        try:
            wanted = next(gen)
            while True:
                # Several times a second the driver looks up with nothing in its hands.
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise OperationalError(f"no answer for {self.patience_seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: _T = end.value
            return answer


def limit_waiting(engine: Engine, *, statement_seconds: float, ping_seconds: float) -> None:
    """Give up a connection of `engine` on which an answer does not come.

    `statement_seconds` is the server's own limit for a statement. `ping_seconds` is for what is asked of a
    connection while nobody has it: when it is new, before it is handed out, and after it came back.
    """

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, args: list[Any], parameters: dict[str, Any]) -> Any:
        connection = TimeLimitedConnection.connect(*args, **parameters)
        connection.patience_seconds = ping_seconds
        return connection

    @event.listens_for(engine, "checkout")
    def hand_out(connection: TimeLimitedConnection, *_: object) -> None:
        connection.patience_seconds = statement_seconds + _GRACE_SECONDS

    @event.listens_for(engine, "reset")
    def take_back(connection: TimeLimitedConnection, *_: object) -> None:
        connection.patience_seconds = ping_seconds
