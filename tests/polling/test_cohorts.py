"""What the recorder knows of how long groups took, and how it polls others by that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine

from recorder.completion.labels import label_text
from recorder.ledger.entries import Action, WatchChange
from recorder.ledger.poll_outcome import Observation, PollOutcome
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.transitions import start
from recorder.ledger.watch import Watch
from recorder.polling import cohorts, service
from recorder.polling.bookings import Survey
from recorder.polling.cohorts import FinishedCohorts
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.poller import Poller
from recorder.polling.schedule import NO_STRETCH, Intervals
from recorder.settings import Settings
from recorder.store.finished_groups import durations_by_label
from recorder.store.leases import Claim
from recorder.store.transactions import reading
from tests.polling.recorders import StartUpstream, record
from tests.support.bodies import GROUP, body_value, moment, parsed, status_value
from tests.support.episode_rows import KEY, add_completed
from tests.support.store_samples import RULES

INTERVALS = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 30)))
FAST = [(float(number), 20.0 + number) for number in range(20)]
SLOW = [(float(number), 3600.0 + number) for number in range(20)]


def _body(**metadata: Any) -> ResponseBody:
    """Return the body of a group that was created at noon, of whose ten runs none has finished."""
    status = status_value(num_task_runs=10, task_run_status_counts={"running": 10}, is_active=True)
    return parsed({**body_value(status), "created_at": "2026-11-24T12:00:00Z", "metadata": metadata})


class _Upstream:
    """Answers each poll with the same body, `now` seconds after noon."""

    def __init__(self, body: ResponseBody) -> None:
        self.body, self.now = body, 0.0

    async def poll(self, _watch: Watch) -> PollOutcome:
        return Observation(moment(self.now), moment(self.now), self.body)


class _NoJitter(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


async def _intervals(engine: Engine, body: ResponseBody, *, spare: float = 10.0) -> list[float | None]:
    """Return the intervals after several equal responses, 10 s apart."""
    reader = DatabaseWriter(engine)
    upstream, found = _Upstream(body), []
    poller = Poller(
        *(cast(Any, upstream), cast(Any, None), RULES, INTERVALS),
        steady=lambda: upstream.now,
        cohorts=FinishedCohorts(reader, KEY),
        chance=_NoJitter(),
    )
    await poller.learn_cohorts()
    poller.follow_survey(Survey(moment(0), {}, 100.0, spare))
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), moment(0), RULES).watch
    for _ in range(5):
        upstream.now += 10
        claim = Claim(watch, "me", moment(upstream.now + 30))
        _, result = await poller.poll(claim, stretch=NO_STRETCH, held_until={})
        watch = result.watch
        found.append(result.interval_seconds)
    reader.close()
    return found


def test_a_group_is_polled_often_while_those_of_its_cohort_end(engine: Engine) -> None:
    add_completed(engine, "fast", "fast", FAST)
    add_completed(engine, "slow", "slow", SLOW)
    usual = [10, 15, 22.5, 33.75, 50.625]
    assert asyncio.run(_intervals(engine, _body(customer="slow"))) == usual
    # Once too few are left that took longer, it backs off.
    assert asyncio.run(_intervals(engine, _body(customer="fast"))) == [10, 10, *usual[2:]]
    assert asyncio.run(_intervals(engine, _body(customer="fast"), spare=0.0)) == usual


def test_durations_are_those_of_the_groups_cohort(engine: Engine) -> None:
    add_completed(engine, "b", "b", [(0, 30), (1, 10)])
    add_completed(engine, "long", "x" * 500, [(2, 50)])
    add_completed(engine, "none", None, [(3, 40)])

    async def scenario() -> None:
        reader = DatabaseWriter(engine)
        by_key, all_of_them = FinishedCohorts(reader, KEY), FinishedCohorts(reader, None)
        assert list(by_key.durations(_body(customer="b"))) == []
        await by_key.look()
        await all_of_them.look()
        reader.close()
        assert list(by_key.durations(_body(customer="b"))) == [10, 30]
        assert list(by_key.durations(_body(customer="unheard of"))) == []
        assert list(by_key.durations(_body(customer=["b"]))) == []
        assert list(by_key.durations(_body())) == []
        assert list(all_of_them.durations(_body())) == [10, 30, 40, 50]

    asyncio.run(scenario())


def test_a_recorder_keeps_looking(
    engine: Engine, start_upstream: StartUpstream, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, keys = start_upstream(), []

    def read(connection: Connection, key: str | None) -> Mapping[str | None, Sequence[float]]:
        keys.append(key)
        return durations_by_label(connection, key)

    monkeypatch.setattr(cohorts, "durations_by_label", read)
    monkeypatch.setattr(service, "COHORT_SECONDS", 0.05)
    with_key = settings.model_copy(update={"cohort_key": KEY})
    record(with_key, engine, upstream, lambda: len(keys) > 1)
    assert set(keys) == {KEY}


def test_the_newest_episodes_are_read(engine: Engine) -> None:
    add_completed(engine, "b", "b", [(0, 30), (1, 10), (2, 20)])
    add_completed(engine, "none", None, [(3, 40)])
    with reading(engine) as connection:
        assert durations_by_label(connection, None, newest=3) == {None: [10, 20, 40]}
        assert durations_by_label(connection, KEY, newest=3) == {None: [40], label_text("b"): [10, 20]}
