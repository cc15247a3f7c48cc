"""Waiting for one of several things, and jobs that leave trouble with the database to their next run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from recorder.store.transactions import DatabaseUnavailableError


async def first_of(*waits: Coroutine[object, object, object]) -> None:
    """Wait until one of several awaitables is done, and cancel the others."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    for task in done:
        task.result()


async def retry_if_unavailable(job: Callable[[], Awaitable[None]]) -> None:
    """Run a job; if the database is unavailable, which the writer has logged, leave it to the next run."""
    try:
        await job()
    except DatabaseUnavailableError:
        return
