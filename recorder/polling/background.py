"""A thread for work that may never end, such as waiting for a database that does not respond."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_T = TypeVar("_T")


class BackgroundThread:
    """Runs work outside the event loop, one piece after the other.

    Work that takes longer than `timeout_seconds` is abandoned with its thread.
    """

    def __init__(self, name: str, timeout_seconds: float) -> None:
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._thread = self._new_thread()
        self._running: set[asyncio.Future[Any]] = set()

    @property
    def stuck(self) -> bool:
        """Whether work has not ended yet; its thread would keep the process from exiting."""
        return bool(self._running)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run `work` and return its result.

        Raises:
            TimeoutError: it was abandoned.
        """
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait([future], timeout=self._timeout_seconds)
        if done:
            return future.result()
        future.add_done_callback(_ignore_result)
        self._thread.shutdown(wait=False)
        self._thread = self._new_thread()
        raise TimeoutError(f"no answer for {self._timeout_seconds:g} s")

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _new_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._name)


def _ignore_result(future: asyncio.Future[Any]) -> None:
    """Retrieve the error of abandoned work, so that asyncio does not report it."""
    if not future.cancelled():
        future.exception()
