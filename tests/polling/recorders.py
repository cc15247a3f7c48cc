"""Recorders that run in this process, polling a simulated upstream in a thread."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from sqlalchemy import Engine, select

from recorder.clock import utc_now
from recorder.ledger.entries import Kind
from recorder.ledger.status_fields import Phase
from recorder.polling.service import Recorder
from recorder.settings import Settings
from recorder.store.database_clock import DatabaseClock
from recorder.store.enrolment import watch_group
from recorder.store.groups import list_groups
from recorder.store.heartbeats import heartbeats
from recorder.store.history import HistoryFilter, StatusItem, read_history
from recorder.store.tables import watches
from recorder.store.transactions import reading
from recorder.upstream.client import UpstreamClient
from tests.support.request_log import read_log

DEADLINE_SECONDS = 40
STOP_SECONDS = 10


class Upstream:
    """A simulator with groups to record, and its request log."""

    def __init__(self, url: str, log: Path) -> None:
        self.log = log
        self.url = url
        self._http = httpx.Client(
            base_url=f"{url}/v1beta", headers={"x-api-key": "k", "x-simulator-seconds": "1"}
        )

    def create(self, engine: Engine, settings: Settings, runs: int = 3) -> str:
        """Create a group whose runs take 0.05 s, and watch it."""
        created = self._http.post("/tasks/groups", json={}).raise_for_status()
        taskgroup_id: str = created.json()["taskgroup_id"]
        added = {"inputs": [{"input": "q", "processor": "lite"}] * runs}
        self._http.post(f"/tasks/groups/{taskgroup_id}/runs", json=added).raise_for_status()
        watch_group(engine, taskgroup_id, actor="test", note=None, now=utc_now, rules=settings.rules)
        return taskgroup_id

    def close(self) -> None:
        self._http.close()

    def successful_polls(self) -> Counter[str]:
        """Return the number of GETs of each group with a 200 response."""
        lines = read_log(self.log)
        return Counter(
            line["taskgroup_id"] for line in lines if line["method"] == "GET" and line["status"] == 200
        )


StartUpstream = Callable[..., Upstream]


def make_client(
    settings: Settings, upstream: Upstream, client_class: type[UpstreamClient] = UpstreamClient
) -> UpstreamClient:
    return client_class(
        base_url=upstream.url,
        prefix="/v1beta",
        api_key="k",
        timeout_seconds=settings.request_timeout,
        max_body_bytes=settings.max_body,
        concurrency=settings.concurrency,
        now=utc_now,
    )


async def wait_until_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


def record(
    settings: Settings,
    engine: Engine,
    upstream: Upstream,
    until: Callable[[], bool],
    *,
    recorders: int = 1,
    client_class: type[UpstreamClient] = UpstreamClient,
) -> list[Recorder]:
    """Run recorders until a condition holds, then stop them and check that they end in time."""

    async def scenario() -> list[Recorder]:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(make_client(settings, upstream, client_class))
                for _ in range(recorders)
            ]
            stop = asyncio.Event()
            running = [Recorder(settings, engine, client, DatabaseClock()) for client in clients]
            tasks = [asyncio.create_task(recorder.run(stop)) for recorder in running]
            try:
                await wait_until_true(until)
            finally:
                stop.set()
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.gather(*tasks)
            return running

    return asyncio.run(scenario())


def phases(engine: Engine) -> list[Phase | None]:
    with reading(engine) as connection:
        groups = list_groups(connection, limit=100)
    return [group.watch.in_force.phase if group.watch.in_force else None for group in groups]


def statuses(engine: Engine, taskgroup_id: str) -> list[StatusItem]:
    with reading(engine) as connection:
        items = read_history(connection, taskgroup_id, HistoryFilter(kinds=[Kind.STATUS]), 1000)
    return [item.content for item in items if isinstance(item.content, StatusItem)]


def assert_nothing_left_behind(engine: Engine) -> None:
    with reading(engine) as connection:
        assert connection.execute(select(watches).where(watches.c.owner.is_not(None))).all() == []
        assert heartbeats(connection) == []


def all_settled(engine: Engine) -> bool:
    return set(phases(engine)) == {Phase.SETTLED}
