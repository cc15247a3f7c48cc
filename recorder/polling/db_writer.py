"""The recorder's one way to its database: write by write, and a word in the log when it goes or returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine

from recorder.store.transactions import DatabaseUnavailableError, writing

GIVE_UP_SECONDS = 15.0
"""How long a write may take before its connection counts as dead."""

_T = TypeVar("_T")
_log = structlog.get_logger("recorder")


class DatabaseWriter:
    """Runs transactions off the event loop, one after the other.

    One thread: writes of one recorder wait for each other here, not for the database's locks.
    """

    def __init__(self, engine: Engine, patience_seconds: float = GIVE_UP_SECONDS) -> None:
        self._engine = engine
        self._patience_seconds = patience_seconds
        self._thread = _new_thread()
        self._unanswered: set[asyncio.Future[Any]] = set()
        self._away = False

    @property
    def stuck(self) -> bool:
        """Whether a write has not come back yet: its thread would hold the process up."""
        return bool(self._unanswered)

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Do `work` in one transaction.

        Raises:
            DatabaseUnavailableError: nothing was written, or it is not known whether it was: what relies
                on a claim may be written again, since the claim is over if it was. The log says so
                once, until the database is back.
        """
        try:
            result = await self._answered(work)
        except DatabaseUnavailableError as error:
            if not self._away:
                self._away = True
                _log.error("database unavailable, recording waits for it", reason=str(error))
            raise
        if self._away:
            self._away = False
            _log.info("database is back")
        return result

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _answered(self, work: Callable[[Connection], _T]) -> _T:
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
        self._unanswered.add(answer)
        answer.add_done_callback(self._unanswered.discard)
        done, _ = await asyncio.wait([answer], timeout=self._patience_seconds)
        if done:
            return answer.result()
        # Nobody may ever answer on that connection: it is left to its thread, and both to themselves.
        answer.add_done_callback(_look_away)
        self._thread.shutdown(wait=False)
        self._thread = _new_thread()
        raise DatabaseUnavailableError(f"no answer for {self._patience_seconds:g} s")

    def _transact(self, work: Callable[[Connection], _T]) -> _T:
        with writing(self._engine) as connection:
            return work(connection)


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder-writer")


def _look_away(answer: asyncio.Future[Any]) -> None:
    """An answer that comes too late is of no use, and its error is no news."""
    if not answer.cancelled():
        answer.exception()
