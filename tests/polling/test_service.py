"""The recorder at work, against a real upstream over HTTP and on both databases."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, select
from structlog.testing import capture_logs

from recorder.clock import utc_now
from recorder.ledger.entries import Action, Kind
from recorder.ledger.outcome import Outcome
from recorder.ledger.status import Phase
from recorder.polling.service import Recorder
from recorder.settings import Settings
from recorder.simulator import SimulatorSettings, parse_outage
from recorder.store.engine import IMMEDIATE, open_engine
from recorder.store.enrolment import cease_watching, watch_group
from recorder.store.heartbeats import heartbeats
from recorder.store.readers import HistoryQuery, StatusItem, history, list_groups
from recorder.store.tables import watches
from recorder.store.transactions import reading
from recorder.upstream.client import UpstreamClient
from tests.simulator.conftest import simulating

DEADLINE_SECONDS = 40
STOP_SECONDS = 10


class Upstream:
    """A simulator with groups to record, and the log of what it answered."""

    def __init__(self, url: str, log: Path) -> None:
        self.log = log
        self.url = url
        self._http = httpx.Client(
            base_url=f"{url}/v1beta", headers={"x-api-key": "k", "x-simulator-seconds": "1"}
        )

    def create(self, engine: Engine, settings: Settings, runs: int = 3) -> str:
        """Create a group whose runs take a twentieth of a second, and watch it."""
        created = self._http.post("/tasks/groups", json={}).raise_for_status()
        taskgroup_id: str = created.json()["taskgroup_id"]
        added = {"inputs": [{"input": "q", "processor": "lite"}] * runs}
        self._http.post(f"/tasks/groups/{taskgroup_id}/runs", json=added).raise_for_status()
        watch_group(engine, taskgroup_id, actor="test", note=None, at=utc_now(), rules=settings.rules)
        return taskgroup_id

    def close(self) -> None:
        self._http.close()

    def answered(self) -> Counter[str]:
        """How many GETs of each group were answered with its status."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return Counter(
            line["taskgroup_id"] for line in lines if line["method"] == "GET" and line["status"] == 200
        )


Simulate = Callable[..., Upstream]


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Simulate]:
    with ExitStack() as stack:

        def start(*outages: str) -> Upstream:
            log = tmp_path / "requests.ndjson"
            settings = SimulatorSettings(speed=20, outages=tuple(map(parse_outage, outages)), log_path=log)
            upstream = Upstream(stack.enter_context(simulating(settings)), log)
            stack.callback(upstream.close)
            return upstream

        yield start


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    fast = {"POLL_INTERVAL": "0.1", "SETTLED_INTERVAL": "0.3", "GAP_GRACE": "8", "RATE": "500"}
    for name, text in {**fast, "REQUEST_TIMEOUT": "5", "LEASE": "30"}.items():
        monkeypatch.setenv(f"RECORDER_{name}", text)
    return Settings()


def _client(
    settings: Settings, upstream: Upstream, kind: type[UpstreamClient] = UpstreamClient
) -> UpstreamClient:
    return kind(
        base_url=upstream.url,
        prefix="/v1beta",
        api_key="k",
        timeout_seconds=settings.request_timeout,
        max_body_bytes=settings.max_body,
        concurrency=settings.concurrency,
        now=utc_now,
    )


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


def _record(
    settings: Settings,
    engine: Engine,
    upstream: Upstream,
    until: Callable[[], bool],
    *,
    recorders: int = 1,
    kind: type[UpstreamClient] = UpstreamClient,
) -> list[Recorder]:
    """Run recorders until a condition holds, then stop them: they must end in time."""

    async def scenario() -> list[Recorder]:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(_client(settings, upstream, kind)) for _ in range(recorders)
            ]
            stop = asyncio.Event()
            at_work = [Recorder(settings, engine, client, utc_now) for client in clients]
            tasks = [asyncio.create_task(recorder.run(stop)) for recorder in at_work]
            try:
                await _until(until)
            finally:
                stop.set()
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.gather(*tasks)
            return at_work

    return asyncio.run(scenario())


def _phases(engine: Engine) -> list[Phase | None]:
    with reading(engine) as connection:
        groups = list_groups(connection, limit=100)
    return [group.watch.in_force.phase if group.watch.in_force else None for group in groups]


def _statuses(engine: Engine, taskgroup_id: str) -> list[StatusItem]:
    with reading(engine) as connection:
        items = history(connection, taskgroup_id, HistoryQuery(kinds=[Kind.STATUS]), 1000)
    return [item.content for item in items if isinstance(item.content, StatusItem)]


def _nothing_is_left_behind(engine: Engine) -> None:
    with reading(engine) as connection:
        assert connection.execute(select(watches).where(watches.c.owner.is_not(None))).all() == []
        assert heartbeats(connection) == []


def _settled(engine: Engine) -> bool:
    return set(_phases(engine)) == {Phase.SETTLED}


@pytest.mark.parametrize("recorders", [1, 3])
def test_every_response_is_recorded_once(
    engine: Engine, simulate: Simulate, settings: Settings, recorders: int
) -> None:
    upstream = simulate()
    ids = [upstream.create(engine, settings) for _ in range(8)]
    _record(settings, engine, upstream, lambda: _settled(engine), recorders=recorders)
    answered = upstream.answered()
    for taskgroup_id in ids:
        statuses = _statuses(engine, taskgroup_id)
        assert sum(status.interval.polls for status in statuses) == answered[taskgroup_id]
        assert statuses[-1].reading.completed == 3
    _nothing_is_left_behind(engine)


def test_an_outage_that_is_over_in_time_is_no_gap_and_told_once(
    engine: Engine, simulate: Simulate, settings: Settings
) -> None:
    upstream = simulate("0-1.5:503")
    taskgroup_id = upstream.create(engine, settings)
    with capture_logs() as logs:

        def over() -> bool:
            return _settled(engine) and "polls succeed again" in [line["event"] for line in logs]

        _record(settings, engine, upstream, over)
    with reading(engine) as connection:
        kinds = {item.kind for item in history(connection, taskgroup_id, HistoryQuery(), 100)}
    assert kinds == {Kind.WATCH, Kind.STATUS}
    assert [line["event"] for line in logs].count("polls fail") == 1


def test_a_group_that_is_enrolled_later_is_recorded_too(
    engine: Engine, simulate: Simulate, settings: Settings
) -> None:
    upstream = simulate()
    upstream.create(engine, settings)

    def second_is_settled() -> bool:
        if len(_phases(engine)) == 1 and _settled(engine):
            upstream.create(engine, settings)
        return len(_phases(engine)) == 2 and _settled(engine)

    _record(settings, engine, upstream, second_is_settled)


def test_a_paused_group_is_not_asked_for(engine: Engine, simulate: Simulate, settings: Settings) -> None:
    upstream = simulate()
    paused, watched = (upstream.create(engine, settings) for _ in range(2))
    cease_watching(engine, paused, Action.PAUSED, actor="test", note=None, at=utc_now())
    _record(settings, engine, upstream, lambda: upstream.answered()[watched] >= 3)
    assert upstream.answered()[paused] == 0


def test_polls_that_hang_do_not_hold_up_the_end(
    engine: Engine, simulate: Simulate, settings: Settings
) -> None:
    upstream = simulate("0-1000:hang")
    taskgroup_id = upstream.create(engine, settings)
    _record(settings, engine, upstream, lambda: taskgroup_id in upstream.log.read_text())
    _nothing_is_left_behind(engine)


class _Broken(UpstreamClient):
    """Has a bug that one group meets."""

    unlucky = ""

    async def poll(self, taskgroup_id: str) -> Outcome:
        if taskgroup_id == self.unlucky:
            raise ZeroDivisionError("a bug")
        return await super().poll(taskgroup_id)


def test_a_bug_in_the_case_of_one_group_does_not_stop_the_others(
    engine: Engine, simulate: Simulate, settings: Settings
) -> None:
    upstream = simulate()
    unlucky, lucky = (upstream.create(engine, settings) for _ in range(2))
    broken = type("Broken", (_Broken,), {"unlucky": unlucky})
    with capture_logs() as logs:
        (recorder,) = _record(
            settings, engine, upstream, lambda: upstream.answered()[lucky] >= 3, kind=broken
        )
    assert recorder.counters["errors"] == 1
    assert [line["taskgroup"] for line in logs if line["log_level"] == "error"] == [unlucky]
    assert _statuses(engine, lucky) and not _statuses(engine, unlucky)


def test_the_heartbeat_tells_who_is_at_work_and_what_was_done(
    engine: Engine, simulate: Simulate, settings: Settings
) -> None:
    upstream = simulate()
    upstream.create(engine, settings)
    seen: list[dict[str, int]] = []

    def counted() -> bool:
        with reading(engine) as connection:
            seen.extend(dict(beat.counters) for beat in heartbeats(connection))
        return bool(seen) and seen[-1]["polls"] >= 1

    _record(settings, engine, upstream, counted)
    assert seen[-1]["entries"] >= 1


def test_once_polls_what_is_due_once(engine: Engine, simulate: Simulate, settings: Settings) -> None:
    upstream = simulate()
    ids = [upstream.create(engine, settings) for _ in range(60)]

    async def once() -> Recorder:
        async with _client(settings, upstream) as client:
            recorder = Recorder(settings, engine, client, utc_now)
            await recorder.run_once(asyncio.Event())
            return recorder

    recorder = asyncio.run(once())
    assert recorder.counters["polls"] == len(ids)
    assert upstream.answered() == dict.fromkeys(ids, 1)
    assert None not in _phases(engine)
    _nothing_is_left_behind(engine)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_locked_database_is_waited_for_and_told_once(
    engine: Engine, simulate: Simulate, settings: Settings
) -> None:
    upstream = simulate()
    taskgroup_id = upstream.create(engine, settings)
    other = open_engine(engine.url)
    lock = other.connect().execution_options(**{IMMEDIATE: True})
    lock.begin()
    with capture_logs() as logs:

        def recorded() -> bool:
            told = [line["event"] for line in logs]
            if any(event.startswith("database unavailable") for event in told) and lock.in_transaction():
                lock.rollback()
            return bool(_statuses(engine, taskgroup_id))

        try:
            _record(settings, engine, upstream, recorded)
        finally:
            lock.close()
            other.dispose()
    events = [line["event"] for line in logs]
    assert [e for e in events if "database" in e] == [
        "database unavailable, recording waits for it",
        "database is back",
    ]
