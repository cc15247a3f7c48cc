"""A running recorder, with an upstream over real HTTP and on both databases."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from recorder.clock import utc_now
from recorder.ledger.entries import Action, Kind
from recorder.ledger.poll_outcome import PollOutcome
from recorder.polling.service import Recorder
from recorder.settings import Settings
from recorder.store.database_clock import DatabaseClock
from recorder.store.dialects.base import WRITING
from recorder.store.engine import open_engine
from recorder.store.enrolment import Deadline, cease_watching, resume_watching, watch_group
from recorder.store.heartbeats import heartbeats
from recorder.store.history import HistoryFilter, read_history
from recorder.store.transactions import reading
from recorder.upstream.client import UpstreamClient
from tests.polling.recorders import (
    StartUpstream,
    all_settled,
    assert_nothing_left_behind,
    make_client,
    phases,
    record,
    statuses,
)
from tests.support.request_log import read_log


@pytest.mark.parametrize("recorders", [1, 3])
def test_every_response_is_recorded_once(
    engine: Engine, start_upstream: StartUpstream, settings: Settings, recorders: int
) -> None:
    upstream = start_upstream()
    ids = [upstream.create(engine, settings) for _ in range(8)]
    record(settings, engine, upstream, lambda: all_settled(engine), recorders=recorders)
    successful = upstream.successful_polls()
    for taskgroup_id in ids:
        recorded = statuses(engine, taskgroup_id)
        assert sum(status.interval.polls for status in recorded) == successful[taskgroup_id]
        assert recorded[-1].fields.count("completed") == 3
    assert_nothing_left_behind(engine)


def test_a_short_outage_is_not_a_gap_and_is_logged_once(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream("0-1.5:503")
    taskgroup_id = upstream.create(engine, settings)
    with capture_logs() as logs:

        def outage_is_over() -> bool:
            return all_settled(engine) and "polls succeed again" in [line["event"] for line in logs]

        record(settings, engine, upstream, outage_is_over)
    with reading(engine) as connection:
        kinds = {item.kind for item in read_history(connection, taskgroup_id, HistoryFilter(), 100)}
    assert kinds == {Kind.WATCH, Kind.STATUS}
    assert [line["event"] for line in logs].count("polls are failing") == 1


def test_a_group_that_is_enrolled_later_is_recorded_too(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    upstream.create(engine, settings)

    def both_settled() -> bool:
        if len(phases(engine)) == 1 and all_settled(engine):
            upstream.create(engine, settings)
        return len(phases(engine)) == 2 and all_settled(engine)

    record(settings, engine, upstream, both_settled)


def test_a_group_that_is_gone_unseen_is_logged_as_enrolled_once(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    quick = settings.model_copy(update={"gone_after": 0.2})
    watch_group(engine, "tgrp_wrong", actor="test", note=None, now=utc_now, rules=quick.rules)

    polled: list[int] = []

    def polled_while_gone() -> bool:
        if any(line["event"] == "gone" for line in logs):
            polled.append(len(read_log(upstream.log)))
        return len(polled) > 1 and polled[-1] > polled[0] + 3

    with capture_logs() as logs:
        record(quick, engine, upstream, polled_while_gone)
    assert [line["event"] for line in logs].count("enrolled") == 1


def test_a_paused_group_is_not_polled(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    paused, watched = (upstream.create(engine, settings) for _ in range(2))
    cease_watching(engine, paused, Action.PAUSED, actor="test", note=None, now=utc_now, deadline=Deadline(0))
    record(settings, engine, upstream, lambda: upstream.successful_polls()[watched] >= 3)
    assert upstream.successful_polls()[paused] == 0


def test_responses_received_before_a_pause_are_written(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    ids = [upstream.create(engine, settings) for _ in range(5)]
    rounds = iter(range(15))

    def paused_often_enough() -> bool:
        for taskgroup_id in ids:
            cease_watching(
                engine,
                taskgroup_id,
                Action.PAUSED,
                actor="test",
                note=None,
                now=utc_now,
                deadline=Deadline(),
            )
            resume_watching(engine, taskgroup_id, actor="test", note=None, now=utc_now, rules=settings.rules)
        return next(rounds, None) is None

    record(settings, engine, upstream, paused_often_enough)
    successful = upstream.successful_polls()
    assert min(successful[taskgroup_id] for taskgroup_id in ids) >= 5
    for taskgroup_id in ids:
        polls = sum(status.interval.polls for status in statuses(engine, taskgroup_id))
        assert polls == successful[taskgroup_id]


def test_hanging_polls_do_not_delay_shutdown(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream("0-1000:hang")
    taskgroup_id = upstream.create(engine, settings)
    record(settings, engine, upstream, lambda: taskgroup_id in upstream.log.read_text())
    assert_nothing_left_behind(engine)


class _Broken(UpstreamClient):
    """Has a bug that affects one group."""

    broken_group = ""

    async def poll(self, taskgroup_id: str) -> PollOutcome:
        if taskgroup_id == self.broken_group:
            raise ZeroDivisionError("a bug")
        return await super().poll(taskgroup_id)


def test_a_bug_with_one_group_does_not_stop_the_others(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    broken_group, other_group = (upstream.create(engine, settings) for _ in range(2))
    broken = type("Broken", (_Broken,), {"broken_group": broken_group})
    with capture_logs() as logs:
        (recorder,) = record(
            settings,
            engine,
            upstream,
            lambda: upstream.successful_polls()[other_group] >= 3,
            client_class=broken,
        )
    assert recorder.counters["errors"] == 1
    assert [line["taskgroup_id"] for line in logs if line["log_level"] == "error"] == [broken_group]
    assert statuses(engine, other_group) and not statuses(engine, broken_group)


def test_the_heartbeat_has_the_counters(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    upstream.create(engine, settings)
    seen: list[dict[str, int]] = []

    def counted() -> bool:
        with reading(engine) as connection:
            seen.extend(dict(beat.counters) for beat in heartbeats(connection))
        return bool(seen) and seen[-1]["polls"] >= 1

    record(settings, engine, upstream, counted)
    assert seen[-1]["entries"] >= 1


def test_run_once_polls_each_due_group_once(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    ids = [upstream.create(engine, settings) for _ in range(60)]

    async def once() -> Recorder:
        async with make_client(settings, upstream) as client:
            recorder = Recorder(settings, engine, client, DatabaseClock())
            await recorder.run_once(asyncio.Event())
            return recorder

    recorder = asyncio.run(once())
    assert recorder.counters["polls"] == len(ids)
    assert upstream.successful_polls() == dict.fromkeys(ids, 1)
    assert None not in phases(engine)
    assert_nothing_left_behind(engine)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_locked_database_is_retried_and_logged_once(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    taskgroup_id = upstream.create(engine, settings)
    other = open_engine(engine.url)
    lock = other.connect().execution_options(**{WRITING: True})
    lock.begin()
    with capture_logs() as logs:

        def recorded() -> bool:
            events = [line["event"] for line in logs]
            if any(event.startswith("database unavailable") for event in events) and lock.in_transaction():
                lock.rollback()
            return "database is back" in events and bool(statuses(engine, taskgroup_id))

        try:
            record(settings, engine, upstream, recorded)
        finally:
            lock.close()
            other.dispose()
    events = [line["event"] for line in logs]
    assert [e for e in events if "database" in e] == [
        "database unavailable, waiting for it to return",
        "database is back",
    ]
