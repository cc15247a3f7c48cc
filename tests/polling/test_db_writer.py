"""Writes that succeed or fail, and a database that does not respond."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from itertools import count

import pytest
from sqlalchemy import Connection, Engine, func, insert, select
from structlog.testing import capture_logs

from recorder.clock import utc_now
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.write_health import STEADY_SECONDS, WriteHealth, WriteKind
from recorder.store.tables import recorders
from recorder.store.transactions import DatabaseUnavailableError


def _add_recorder(connection: Connection, name: str) -> None:
    row = {"recorder_id": name, "host": "h", "pid": 1, "started_at": utc_now(), "heartbeat_at": utc_now()}
    connection.execute(insert(recorders).values(**row, counters="{}"))


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(recorders)).scalar_one()


def test_a_failed_write_is_rolled_back(engine: Engine) -> None:
    def work(connection: Connection) -> None:
        _add_recorder(connection, "one")
        raise ZeroDivisionError

    async def scenario() -> int:
        writer = DatabaseWriter(engine)
        with pytest.raises(ZeroDivisionError):
            await writer.write(work, WriteKind.RESULTS)
        return await writer.write(_count, WriteKind.RESULTS)

    assert asyncio.run(scenario()) == 0


def test_an_unresponsive_connection_is_abandoned_and_replaced(engine: Engine) -> None:
    release = threading.Event()

    def unresponsive(_: Connection) -> None:
        release.wait(30)

    async def scenario() -> None:
        health = WriteHealth(steady=partial(next, count(step=STEADY_SECONDS)))
        writer = DatabaseWriter(engine, timeout_seconds=0.2, health=health)
        try:
            with pytest.raises(DatabaseUnavailableError, match=r"no answer for 0\.2 s"):
                await writer.write(unresponsive, WriteKind.RESULTS)
            assert writer.stuck
        finally:
            release.set()
        other = DatabaseWriter(engine)
        assert await other.write(_count, WriteKind.RESULTS) == 0
        assert await writer.write(_count, WriteKind.RESULTS) == 0
        async with asyncio.timeout(10):
            while writer.stuck:
                await asyncio.sleep(0.01)

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert [line["event"] for line in logs] == [
        "database unavailable, waiting for it to return",
        "database is back",
    ]
