"""`recorder run --once` from cron: its rhythm is no gap."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from recorder.clock import utc_now
from recorder.ledger.entries import Kind
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.transitions import Rules, fail, observe
from recorder.ledger.watch import Watch
from recorder.polling.schedule import LONGEST_APART, Intervals, RunRhythm, plan
from recorder.polling.service import Recorder
from recorder.settings import Settings
from recorder.store.history import read_entries
from recorder.store.transactions import reading
from recorder.upstream.client import UpstreamClient
from tests.polling.at_work import Simulate
from tests.support.bodies import RUNNING, moment
from tests.support.stories import Story

WINDOW = timedelta(seconds=30)
INTERVALS = Intervals(timedelta(seconds=10), timedelta(seconds=300), WINDOW)
RULES = Rules(WINDOW, timedelta(seconds=900), None)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def watch() -> Watch:
    """Return a group that was first seen at noon."""
    story = Story()
    story.answer(0)
    return story.watch


def test_the_rhythm_is_the_time_since_the_last_sight(watch: Watch) -> None:
    assert RunRhythm().apart(watch, moment(60)) == MINUTE
    assert RunRhythm().apart(watch, moment(86_400)) == LONGEST_APART
    assert RunRhythm().apart(watch, moment(-5)) == timedelta()


def test_the_rhythm_is_what_the_user_says(watch: Watch) -> None:
    assert RunRhythm(5 * MINUTE).apart(watch, moment(60)) == 5 * MINUTE


def test_a_failed_poll_is_due_again_at_the_next_run(watch: Watch) -> None:
    failed = fail(watch, Failure(moment(60), moment(60), Cause.TIMEOUT, None, "no answer"), RULES).watch
    planned = plan(failed, moment(60), INTERVALS, chance=0, runs_apart=MINUTE)
    assert planned.next_poll_at is not None
    assert planned.watch.poll_due_at is not None
    assert planned.next_poll_at < moment(120) <= planned.watch.poll_due_at
    assert planned.watch.due_at == watch.due_at


def test_a_missed_run_is_a_gap(watch: Watch) -> None:
    seen = observe(watch, Observation(moment(20), moment(20), RUNNING), RULES).watch
    due = plan(seen, moment(20), INTERVALS, chance=0, runs_apart=MINUTE).watch
    for seconds, entries in ((80, 0), (140, 2)):
        at = moment(seconds)
        assert len(observe(due, Observation(at, at, RUNNING), RULES).entries) == entries


@dataclass
class Cron:
    """Runs the recorder once after each step of its clock."""

    engine: Engine
    settings: Settings
    base_url: str
    now: datetime

    def run(self, every: timedelta | None = None) -> None:
        asyncio.run(self._run(every))

    async def _run(self, every: timedelta | None) -> None:
        async with UpstreamClient(
            base_url=self.base_url,
            prefix=self.settings.upstream_prefix,
            api_key="key",
            timeout_seconds=5,
            max_body_bytes=10_000,
            concurrency=5,
            now=lambda: self.now,
        ) as client:
            recorder = Recorder(self.settings, self.engine, client, lambda: self.now)
            await recorder.run_once(asyncio.Event(), every)
        assert recorder.counters["polls"] == 1


@pytest.mark.parametrize(
    ("every", "gaps"),
    [pytest.param(MINUTE, 0, id="said"), pytest.param(None, 1, id="seen, after the first late run")],
)
def test_running_once_a_minute_makes_no_gaps(
    engine: Engine,
    simulate: Simulate,
    monkeypatch: pytest.MonkeyPatch,
    every: timedelta | None,
    gaps: int,
) -> None:
    for name, default in {"POLL_INTERVAL": "10", "SETTLED_INTERVAL": "300", "GAP_GRACE": "30"}.items():
        monkeypatch.setenv(f"RECORDER_{name}", default)
    settings = Settings()
    upstream = simulate()
    taskgroup_id = upstream.create(engine, settings)
    cron = Cron(engine, settings, upstream.url, utc_now())
    for _ in range(5):
        cron.run(every)
        cron.now += MINUTE
    with reading(engine) as connection:
        entries = list(read_entries(connection, taskgroup_id))
    assert [entry.kind for entry in entries].count(Kind.GAP) <= gaps
