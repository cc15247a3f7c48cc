"""The recorder's only way to write to its database."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine

from recorder.polling.background import BackgroundThread
from recorder.polling.write_health import WriteHealth, WriteKind
from recorder.store.transactions import DatabaseLostError, DatabaseUnavailableError, reading, writing

GIVE_UP_SECONDS = 15.0
"""How long a write may take before its connection is considered dead."""

_T = TypeVar("_T")


class DatabaseWriter:
    """Runs transactions outside the event loop, one after the other, and reports to `health`.

    With a single thread, the writes wait for each other here and not for database locks.
    """

    def __init__(
        self,
        engine: Engine,
        health: WriteHealth | None = None,
        timeout_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        self.health = WriteHealth() if health is None else health
        self._engine = engine
        self._thread = BackgroundThread("recorder-writer", timeout_seconds)

    @property
    def stuck(self) -> bool:
        """Whether a transaction has not ended yet; its thread would keep the process from exiting."""
        return self._thread.stuck

    async def write(
        self,
        work: Callable[[Connection], _T],
        kind: WriteKind,
        *,
        wrote: Callable[[_T], bool] = lambda _: True,
    ) -> _T:
        """Run `work` in one transaction; `wrote` is whether its result shows that something was written.

        Raises:
            DatabaseUnavailableError: nothing was written, or it is unknown whether it was. Results that
                depend on a claim may be written again: if they were written, the claim has ended.
        """
        try:
            result, seconds = await self._run(lambda: self._write(work))
        except DatabaseLostError:
            # It does not come back: the recorder is about to notice, and to stop.
            raise
        except DatabaseUnavailableError as error:
            self.health.failed(kind, str(error))
            raise
        if wrote(result):
            self.health.succeeded(kind, seconds)
        return result

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Run `work`, which only reads, in one transaction.

        Raises:
            DatabaseUnavailableError: the database cannot be read.
        """
        return await self._run(lambda: self._read(work))

    def close(self) -> None:
        self._thread.close()

    async def _run(self, work: Callable[[], _T]) -> _T:
        try:
            return await self._thread.run(work)
        except TimeoutError as error:
            raise DatabaseUnavailableError(str(error)) from None

    def _write(self, work: Callable[[Connection], _T]) -> tuple[_T, float]:
        began = time.monotonic()
        with writing(self._engine) as connection:
            result = work(connection)
        return result, time.monotonic() - began

    def _read(self, work: Callable[[Connection], _T]) -> _T:
        with reading(self._engine) as connection:
            return work(connection)
