"""The job that delivers events, with real receivers; what happens is written by the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from sqlalchemy import Connection, Engine, update
from structlog.testing import capture_logs

from recorder.clock import utc_now
from recorder.notify.events import Event, EventType
from recorder.notify.sink_file import read_sink_file
from recorder.polling import delivery_job
from recorder.polling.delivery_job import AT_ONCE, DeliveryJob
from recorder.store.database_clock import measured_clock
from recorder.store.deliveries import (
    SinkState,
    list_sinks,
    release_lease,
    replay,
    sink_states,
    take_lease,
)
from recorder.store.event_tables import delivery_lease
from recorder.store.events import add_events, publish_events
from recorder.store.transactions import DatabaseUnavailableError, reading, writing
from tests.polling.recorders import wait_until_true
from tests.support.program import wait_until
from tests.support.webhook_receiver import SECRET, Received, Receiver, webhook_receiver

pytestmark = pytest.mark.integration


def happens(engine: Engine, *subjects: int, group: str | None = None) -> None:
    """Publish an event for each subject, about `group`, or a group of its own."""
    with writing(engine) as connection:
        for subject in subjects:
            about = group or f"tgrp_{subject}"
            event = Event(EventType.GONE, str(subject), utc_now(), about, subject, {"subject": subject})
            add_events(connection, [event])
            publish_events(connection)


def states(engine: Engine) -> dict[str, SinkState]:
    with reading(engine) as connection:
        return {state.name: state for state in sink_states(connection)}


class Jobs:
    """Jobs of recorders that share a database and a file of sinks."""

    def __init__(self, engine: Engine, *tables: str) -> None:
        self.engine = engine
        self.sinks = read_sink_file("\n".join(tables), {"HOOK_SECRET": SECRET}).sinks
        with writing(engine) as connection:
            list_sinks(connection, self.sinks, utc_now())

    def job(self) -> DeliveryJob:
        return DeliveryJob(self.sinks, self.engine, measured_clock(self.engine))

    def run(self, until: Callable[[], bool], *, jobs: int = 1) -> None:
        async def scenario() -> None:
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for job in [self.job() for _ in range(jobs)]:
                    group.create_task(self._run(job, stop))
                try:
                    await wait_until_true(until)
                finally:
                    stop.set()

        asyncio.run(scenario())

    async def _run(self, job: DeliveryJob, stop: asyncio.Event) -> None:
        async with job.running(stop):
            await stop.wait()
        assert not job.stuck

    def once(self) -> None:
        asyncio.run(self.job().run_once(asyncio.Event()))


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(webhook_receiver())


def test_several_recorders_deliver_each_event_once_and_in_order(
    engine: Engine, receivers: Callable[[], Receiver]
) -> None:
    ops = receivers()
    jobs = Jobs(engine, ops.table("ops"))
    happens(engine, *range(1, 11), group="tgrp_1")
    happens(engine, *range(11, 21))
    jobs.run(lambda: len(ops.received) == 20 and states(engine)["ops"].pending == 0, jobs=3)
    assert sorted(map(int, ops.ids)) == list(range(1, 21))
    assert [one.data["subject"] for one in ops.received if one.data["subject"] <= 10] == list(range(1, 11))


def test_a_sink_that_hangs_delays_no_other(engine: Engine, receivers: Callable[[], Receiver]) -> None:
    slow, quick, end = receivers(), receivers(), threading.Event()
    slow.answer = lambda _: 200 if end.wait(60) else 500
    jobs = Jobs(engine, slow.table("slow"), quick.table("quick"))
    happens(engine, *range(1, 21))
    jobs.run(lambda: len(quick.received) == 20 and len(slow.received) == AT_ONCE)
    end.set()
    assert states(engine)["slow"].pending == 20


def test_a_sink_that_refuses_is_tried_with_one_event_at_a_time(
    engine: Engine, receivers: Callable[[], Receiver]
) -> None:
    ops, lock, two_at_once, answering = receivers(), threading.Lock(), threading.Event(), set[str]()

    def refuse(received: Received) -> int:
        with lock:
            answering.add(received.id)
            if len(answering) > 1 and len(ops.received) > AT_ONCE:
                two_at_once.set()
        two_at_once.wait(0.3)
        with lock:
            answering.discard(received.id)
        return 503

    ops.answer = refuse
    jobs = Jobs(engine, ops.table("ops"))
    happens(engine, *range(1, 31))
    with capture_logs() as logs:
        jobs.run(lambda: len(ops.received) >= AT_ONCE + 3)
        assert not two_at_once.is_set()
        ops.answer = lambda _: 200
        with writing(engine) as connection:
            replay(connection, "ops", utc_now())
        jobs.run(lambda: states(engine)["ops"].pending == 0)
    assert [(line["event"], line["reason"]) for line in logs if line["log_level"] == "warning"] == [
        ("a sink does not take events", "503 Service Unavailable")
    ]
    assert states(engine)["ops"].last_error == "503 Service Unavailable"


def test_a_sink_that_is_gone_is_disabled_and_said_once(
    engine: Engine, receivers: Callable[[], Receiver]
) -> None:
    ops, both = receivers(), threading.Barrier(2)

    def refuse(_: Received) -> int:
        both.wait(60)
        return 410

    ops.answer = refuse
    jobs = Jobs(engine, ops.table("ops"))
    happens(engine, 1, group="tgrp_1")
    happens(engine, 2)
    with capture_logs() as logs:
        jobs.run(lambda: states(engine)["ops"].disabled_at is not None)
        happens(engine, 3, group="tgrp_1")
        jobs.once()
    assert sorted(ops.ids) == ["1", "2"]
    assert [line["event"] for line in logs if line["log_level"] in {"warning", "error"}] == [
        "a sink wants no more events; enable it again with: recorder notify replay ops"
    ]
    ops.answer = lambda _: 200
    with writing(engine) as connection:
        replay(connection, "ops", utc_now())
    jobs.once()
    assert sorted(ops.ids) == ["1", "1", "2", "2", "3"]


def test_once_delivers_what_is_due_and_leaves_the_rest_to_the_next_run(
    engine: Engine, receivers: Callable[[], Receiver]
) -> None:
    ops = receivers()
    ops.answer = lambda received: 500 if received.data["subject"] == 3 else 200
    jobs = Jobs(engine, ops.table("ops"))
    happens(engine, 1, 2, 3, 4, group="tgrp_1")
    happens(engine, 5)
    jobs.once()
    assert sorted(ops.ids) == ["1", "2", "3", "5"]
    assert states(engine)["ops"].pending == 2
    jobs.once()
    assert len(ops.ids) == 4


def test_a_database_that_goes_away_after_the_sink_was_told(
    engine: Engine, receivers: Callable[[], Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken is not sent again, and written once the database is back."""
    ops, away, refused = receivers(), threading.Event(), []
    real = delivery_job.writing

    def writing_unless_away(opened: Engine) -> AbstractContextManager[Connection]:
        if away.is_set():
            refused.append(1)
            raise DatabaseUnavailableError("away")
        return real(opened)

    def answer(_: Received) -> int:
        away.set()
        return 200

    monkeypatch.setattr(delivery_job, "writing", writing_unless_away)
    ops.answer = answer
    jobs = Jobs(engine, ops.table("ops"))
    happens(engine, 1, 2, group="tgrp_1")

    def told_both() -> bool:
        if len(refused) >= 3 and len(ops.ids) == 1:
            ops.answer = lambda _: 200
            away.clear()
        return len(ops.ids) >= 2 and states(engine)["ops"].pending == 0

    jobs.run(told_both)
    assert ops.ids == ["1", "2"]


def test_a_recorder_that_dies_before_it_has_written_tells_again(
    engine: Engine, receivers: Callable[[], Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = receivers()
    jobs = Jobs(engine, ops.table("ops"))
    happens(engine, 1)

    def die(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError("dead")

    with monkeypatch.context() as dying:
        dying.setattr(delivery_job, "write_attempts", die)
        jobs.once()
    assert (ops.ids, states(engine)["ops"].pending) == (["1"], 1)
    jobs.once()
    assert ops.ids == ["1"]
    with writing(engine) as connection:
        connection.execute(update(delivery_lease).values(until=utc_now()))
    jobs.once()
    assert (ops.ids, states(engine)["ops"].pending) == (["1", "1"], 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_was_taken_a_moment_ago_is_not_sent_again(
    engine: Engine, receivers: Callable[[], Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sink answers after the outcomes were written, and before the job looks what is due."""
    ops, may_answer = receivers(), threading.Event()
    ops.answer = lambda _: 200 if may_answer.wait(60) else 500
    jobs = Jobs(engine, ops.table("ops"))
    happens(engine, 1)
    real = delivery_job.has_unqueued

    def look_slowly(connection: Connection) -> bool:
        if len(ops.ids) == 1 and not may_answer.is_set():
            may_answer.set()
            wait_until(lambda: job._attempts or None, "the answer")
        return real(connection)

    monkeypatch.setattr(delivery_job, "has_unqueued", look_slowly)
    job = jobs.job()

    async def scenario() -> None:
        stop = asyncio.Event()
        async with job.running(stop):
            await wait_until_true(lambda: may_answer.is_set() and states(engine)["ops"].pending == 0)

    asyncio.run(scenario())
    assert ops.ids == ["1"]


def test_without_a_file_the_sinks_leave_the_list_once_nobody_delivers(
    engine: Engine, receivers: Callable[[], Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_job, "_LOOK_SECONDS", 0.05)
    receiver = receivers()
    with_file, without = Jobs(engine, receiver.table("ops")), Jobs(engine)
    with writing(engine) as connection:
        list_sinks(connection, with_file.sinks, utc_now())
        assert take_lease(connection, "another recorder", utc_now())
    without.once()
    assert states(engine).keys() == {"ops"}

    async def scenario() -> None:
        stop = asyncio.Event()
        async with without.job().running(stop):
            with writing(engine) as connection:
                release_lease(connection, "another recorder")
            await wait_until_true(lambda: not states(engine))

    asyncio.run(scenario())
    happens(engine, 1)
    with_file.once()
    assert receiver.ids == ["1"]
    assert states(engine).keys() == {"ops"}
    without.once()
    assert not states(engine)
