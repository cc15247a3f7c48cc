"""The recorder's only way to write to its database.

It logs when the database becomes unavailable or recovers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine

from recorder.store.transactions import DatabaseUnavailableError, writing

GIVE_UP_SECONDS = 15.0
"""How long a write may take before its connection is considered dead."""

_T = TypeVar("_T")
_log = structlog.get_logger("recorder")


class DatabaseWriter:
    """Runs transactions outside the event loop, one after the other.

    With a single thread, the recorder's writes wait for each other here and not for database locks.
    """

    def __init__(self, engine: Engine, timeout_seconds: float = GIVE_UP_SECONDS) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._thread = _new_thread()
        self._running: set[asyncio.Future[Any]] = set()
        self._unavailable = False

    @property
    def stuck(self) -> bool:
        """Whether a write has not returned yet; its thread would keep the process from exiting."""
        return bool(self._running)

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Run `work` in one transaction.

        Raises:
            DatabaseUnavailableError: nothing was written, or it is unknown whether it was. Results that
                depend on a claim may be written again: if they were written, the claim has ended. This is
                logged once until the database is back.
        """
        try:
            result = await self._run(work)
        except DatabaseUnavailableError as error:
            if not self._unavailable:
                self._unavailable = True
                _log.error("database unavailable, waiting for it to return", reason=str(error))
            raise
        if self._unavailable:
            self._unavailable = False
            _log.info("database is back")
        return result

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[Connection], _T]) -> _T:
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait([future], timeout=self._timeout_seconds)
        if done:
            return future.result()
        # The connection may never respond, so it and its thread are abandoned.
        future.add_done_callback(_ignore_result)
        self._thread.shutdown(wait=False)
        self._thread = _new_thread()
        raise DatabaseUnavailableError(f"no answer for {self._timeout_seconds:g} s")

    def _transact(self, work: Callable[[Connection], _T]) -> _T:
        with writing(self._engine) as connection:
            return work(connection)


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder-writer")


def _ignore_result(future: asyncio.Future[Any]) -> None:
    """Retrieve the error of an abandoned write, so that asyncio does not report it."""
    if not future.cancelled():
        future.exception()
