"""Waiting for one of several things, and jobs that leave trouble with the database to their next run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from recorder.store.transactions import DatabaseUnavailableError


async def first_of(*waits: Coroutine[object, object, object]) -> object:
    """Wait until one of several awaitables is done, cancel the others, and return its result."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    results = [task.result() for task in done]
    return results[0]


async def retry_if_unavailable(job: Callable[[], Awaitable[None]]) -> None:
    """Run a job; if the database is unavailable, which the writer has logged, leave it to the next run."""
    try:
        await job()
    except DatabaseUnavailableError:
        return
