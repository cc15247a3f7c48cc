"""A provider that answers slowly, over real sockets: the schedule adapts, and says what is in the way."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from structlog.testing import capture_logs

from recorder.cli.output.warnings import warnings
from recorder.clock import utc_now
from recorder.ledger.entries import Kind
from recorder.polling.service import Recorder
from recorder.queries.recorders import rate_budget_body
from recorder.settings import Settings
from recorder.store.database_clock import DatabaseClock
from recorder.store.enrolment import watch_group
from recorder.store.heartbeats import Heartbeat, heartbeats
from recorder.store.tables import entries
from recorder.store.transactions import reading
from recorder.upstream.client import UpstreamClient
from tests.polling.recorders import assert_nothing_left_behind

pytestmark = pytest.mark.integration

ANSWER_SECONDS = 1.2
GROUPS, PLACES = 32, 4
"""As many times too few places as for 350 groups, 50 places and answers after 8 s."""
ROUNDS = 4
DEADLINE_SECONDS = 150


class SlowProvider:
    """Answers each request after ANSWER_SECONDS with a group that never changes, and counts the answers."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                taskgroup_id = head.split(b" ", 2)[1].rpartition(b"/")[2].decode()
                await asyncio.sleep(ANSWER_SECONDS)
                body = json.dumps(_group(taskgroup_id)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
                self.answers[taskgroup_id] += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def _group(taskgroup_id: str) -> dict[str, Any]:
    status = {"num_task_runs": 2, "task_run_status_counts": {"running": 2}, "is_active": True}
    return {"taskgroup_id": taskgroup_id, "metadata": None, "status": status}


@pytest.fixture
def slow(settings: Settings) -> Settings:
    """Settings with about the proportions of the defaults, 10 s, 60 s, 300 s and 30 s."""
    pace = {"poll_interval": 1.2, "max_interval": 7.2, "settled_interval": 36.0, "gap_grace": 4.0}
    return settings.model_copy(update={**pace, "rate": 20.0, "concurrency": PLACES})


def _run(engine: Engine, slow: Settings, most_at_once: int) -> tuple[SlowProvider, int, list[Heartbeat]]:
    """Record until each group was answered ROUNDS times.

    Return the provider, how many gaps there were when each had been answered twice, and the last heartbeats.
    """
    for number in range(GROUPS):
        watch_group(engine, f"tgrp_{number}", actor="test", note=None, now=utc_now, rules=slow.rules)
    provider, last = SlowProvider(), list[Heartbeat]()

    async def rounds(number: int) -> None:
        while len(provider.answers) < GROUPS or min(provider.answers.values()) < number:
            await asyncio.sleep(0.2)
            last[:] = await asyncio.to_thread(_heartbeats, engine) or last

    async def scenario() -> int:
        stop = asyncio.Event()
        async with provider.serving() as url, _client(slow, url, most_at_once) as client:
            recorder = Recorder(slow, engine, client, DatabaseClock(), most_at_once=most_at_once)
            running = asyncio.create_task(recorder.run(stop))
            async with asyncio.timeout(DEADLINE_SECONDS):
                await rounds(2)
                early = await asyncio.to_thread(_gaps, engine)
                await rounds(ROUNDS)
            stop.set()
            await running
            return early

    return provider, asyncio.run(scenario()), last


def _client(settings: Settings, url: str, most_at_once: int) -> UpstreamClient:
    return UpstreamClient(
        base_url=url,
        prefix="/v1beta",
        api_key="k",
        timeout_seconds=settings.request_timeout,
        max_body_bytes=settings.max_body,
        concurrency=most_at_once,
        now=utc_now,
    )


def _gaps(engine: Engine) -> int:
    with reading(engine) as connection:
        found = select(func.count()).select_from(entries).where(entries.c.kind == Kind.GAP.value)
        return int(connection.scalar(found) or 0)


def _heartbeats(engine: Engine) -> list[Heartbeat]:
    with reading(engine) as connection:
        return heartbeats(connection)


def test_without_more_places_the_schedule_stretches_and_says_why(engine: Engine, slow: Settings) -> None:
    with capture_logs() as logs:
        provider, early, beats = _run(engine, slow, PLACES)
    assert _gaps(engine) == early
    # No group is left behind.
    assert max(provider.answers.values()) <= 2 * ROUNDS
    budget = rate_budget_body(beats, beats[0].heartbeat_at, slow.rate)
    assert budget["limited_by"] == "concurrency"
    assert 0.6 * PLACES / ANSWER_SECONDS <= budget["capacity_per_second"] <= 1.05 * PLACES / ANSWER_SECONDS
    assert 0 < budget["reached_per_second"] <= 1.05 * PLACES / ANSWER_SECONDS
    assert budget["stretch"] > 1
    (line,) = [each.plain for each in warnings(beats, beats[0].heartbeat_at)]
    assert line.startswith("concurrency: the groups need ") and "answers take too long" in line
    told = [line for line in logs if "all intervals are stretched" in line["event"]]
    assert told and told[-1]["limited_by"] == "concurrency" and told[-1]["capacity_per_second"] < 4
    assert_nothing_left_behind(engine)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_with_more_places_there_are_more_polls(engine: Engine, slow: Settings) -> None:
    _, early, beats = _run(engine, slow, 4 * PLACES)
    assert _gaps(engine) == early
    polling, budget = beats[0].report["polling"], rate_budget_body(beats, beats[0].heartbeat_at, slow.rate)
    assert polling["places"] == 4 * PLACES
    assert budget["capacity_per_second"] > 1.5 * PLACES / ANSWER_SECONDS
