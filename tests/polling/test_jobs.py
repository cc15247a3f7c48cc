"""Waiting for one of several things."""

from __future__ import annotations

import asyncio

import pytest

from recorder.polling.jobs import first_of


def test_the_first_result_is_returned_and_nothing_goes_on() -> None:
    async def scenario() -> None:
        others: list[asyncio.Task[object]] = []

        async def forever() -> None:
            others.extend(task for task in [asyncio.current_task()] if task is not None)
            await asyncio.Event().wait()

        assert await first_of(asyncio.sleep(0, "first"), forever()) == "first"
        waiting = asyncio.create_task(first_of(forever(), forever()))
        while len(others) < 3:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait(others, timeout=20)
        assert all(task.cancelled() for task in others)

    asyncio.run(scenario())
