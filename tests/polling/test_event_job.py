"""Recorders that share a database tell what happened once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import Engine
from structlog.testing import capture_logs

from recorder.ledger.poll_outcome import Cause, Failure
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.event_job import EventJob
from recorder.settings import Settings
from recorder.store.events import PublishedEvent, read_events
from recorder.store.transactions import reading
from tests.polling.recorders import StartUpstream, all_settled, record
from tests.support.store_samples import at, body, enrol, failed, poll, seen


def told(engine: Engine) -> list[PublishedEvent]:
    with reading(engine) as connection:
        return read_events(connection, limit=1000)


def test_several_recorders_publish_each_event_and_log_it_once(
    engine: Engine, start_upstream: StartUpstream, settings: Settings
) -> None:
    upstream = start_upstream()
    ids = [upstream.create(engine, settings) for _ in range(6)]
    with capture_logs() as logs:
        record(settings, engine, upstream, lambda: all_settled(engine), recorders=3)
    events = told(engine)
    assert [item.id for item in events] == list(range(1, len(events) + 1))
    happened = Counter((item.event.taskgroup_id, item.event.type.value) for item in events)
    assert happened == Counter({(one, f"group.{what}"): 1 for one in ids for what in ("started", "settled")})
    settled = [line for line in logs if line["event"] == "settled"]
    assert sorted(line["taskgroup_id"] for line in settled) == sorted(ids)
    # What the provider does not say of a group is left out.
    assert all(line["completed"] == line["total"] == 3 and None not in line.values() for line in settled)


class Jobs:
    """The jobs of two recorders, at times that the test sets."""

    def __init__(self, engine: Engine) -> None:
        self._seconds = 0.0
        self._writers = [DatabaseWriter(engine) for _ in range(2)]
        self.jobs = [
            EventJob(writer, self._now, stall_after=timedelta(seconds=60), gap_window=timedelta(seconds=30))
            for writer in self._writers
        ]

    def _now(self) -> datetime:
        return at(self._seconds)

    def run(self, seconds: float) -> None:
        """Let both recorders do at once what is due."""
        self._seconds = seconds

        async def scenario() -> None:
            await asyncio.gather(*(job.check() for job in self.jobs))
            await asyncio.gather(*(job.publish() for job in self.jobs))

        asyncio.run(scenario())

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def types(engine: Engine) -> list[str]:
    return [item.event.type.value for item in told(engine)]


def test_an_outage_and_a_rejected_key_are_told_once(engine: Engine) -> None:
    jobs = Jobs(engine)
    for seconds in range(0, 80, 10):
        for job in jobs.jobs:
            job.polled(failed(seconds), key_rejected=False)
        jobs.run(seconds)
    assert types(engine) == ["upstream.down"]
    jobs.jobs[1].polled(seen(body("tgrp_1", 1), 80), key_rejected=False)
    jobs.run(80)
    refused = Failure(at(90), at(90), Cause.UNAUTHORIZED, 401, "no such key")
    for job in jobs.jobs:
        job.polled(refused, key_rejected=True)
    jobs.run(90)
    assert types(engine) == ["upstream.down", "upstream.up", "key.rejected"]
    jobs.close()


def test_a_standstill_is_told_once(engine: Engine) -> None:
    jobs = Jobs(engine)
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 13))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 70))
    for seconds in (71, 72, 73):
        jobs.run(seconds)
    assert types(engine) == ["group.started", "group.stalled"]
    jobs.close()
