"""The recorder's one way to its database: write by write, and a word in the log when it goes or returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine

from recorder.store.transactions import DatabaseUnavailableError, writing

_T = TypeVar("_T")
_log = structlog.get_logger("recorder")


class Writer:
    """Runs transactions off the event loop, one after the other.

    One thread: writes of one recorder wait for each other here, not for the database's locks.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder-writer")
        self.away = False

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Do `work` in one transaction.

        Raises:
            DatabaseUnavailableError: nothing was written. The log says so once, until it is over.
        """
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(self._thread, self._transact, work)
        except DatabaseUnavailableError as error:
            if not self.away:
                self.away = True
                _log.error("database unavailable, recording waits for it", reason=str(error))
            raise
        if self.away:
            self.away = False
            _log.info("database is back")
        return result

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _transact(self, work: Callable[[Connection], _T]) -> _T:
        with writing(self._engine) as connection:
            return work(connection)
