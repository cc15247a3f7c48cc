"""Wait for a database server that is being started."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from recorder.store.dialects.registry import dialect_of
from recorder.store.transactions import DatabaseUnavailableError, reading

SERVER_WAIT_SECONDS = 60.0
_RETRY_SECONDS = 0.5


def wait_for_server(engine: Engine, announce: Callable[[str], None]) -> None:
    """Wait until the server of a database accepts connections; `announce` once why it does not yet.

    Raises:
        DatabaseUnavailableError: it does not within SERVER_WAIT_SECONDS, or it refuses us, which is final.
    """
    deadline = time.monotonic() + SERVER_WAIT_SECONDS
    announced = False
    while True:
        try:
            with reading(engine):
                return
        except DatabaseUnavailableError as error:
            if not _may_come(engine, error) or time.monotonic() > deadline:
                raise
            if not announced:
                announce(str(error))
                announced = True
        time.sleep(_RETRY_SECONDS)


def _may_come(engine: Engine, error: DatabaseUnavailableError) -> bool:
    cause = error.__cause__
    cause = cause.orig if isinstance(cause, DBAPIError) else cause
    return cause is not None and dialect_of(engine).may_come(cause)
