"""Which deliveries are due, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from recorder.notify.events import Event, EventType
from recorder.notify.sink_file import read_sink_file
from recorder.notify.sinks import Sink
from recorder.store.deliveries import (
    LEASE,
    Attempt,
    Delivery,
    SinkState,
    due_deliveries,
    has_unqueued,
    lease_is_free,
    list_sinks,
    queue_events,
    release_lease,
    replay,
    sink_states,
    take_lease,
    write_attempts,
)
from recorder.store.events import add_events, publish_events
from recorder.store.transactions import reading, writing
from tests.support.store_samples import at, body, enrol, poll, seen

HOURS = 3600


def sink(name: str = "ops", more: str = "") -> Sink:
    text = f'[[notify]]\nname = "{name}"\nurl_env = "URL"\n{more}'
    (found,) = read_sink_file(text, {"URL": "json://localhost"}).sinks
    return found


OPS = sink()


class Sinks:
    """What the recorder that delivers does, at times that the test sets."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._subjects = 0

    def happens(self, *groups: str | None) -> None:
        """Publish an event about each group, None for the provider."""
        with writing(self.engine) as connection:
            for group in groups:
                self._subjects += 1
                kind = EventType.KEY_REJECTED if group is None else EventType.GONE
                seq = None if group is None else self._subjects
                event = Event(kind, str(self._subjects), at(self._subjects), group, seq, {})
                add_events(connection, [event])
                publish_events(connection)

    def list(self, *listed: Sink, seconds: float = 0) -> None:
        with writing(self.engine) as connection:
            list_sinks(connection, listed, at(seconds))

    def queue(self, *listed: Sink, seconds: float = 0) -> bool:
        with writing(self.engine) as connection:
            return queue_events(connection, listed, at(seconds))

    def due(
        self, seconds: float, name: str = "ops", limit: int = 99, without: Iterable[int] = ()
    ) -> list[int]:
        return [delivery.item.id for delivery in self.deliveries(seconds, name, limit, without)]

    def deliveries(
        self, seconds: float, name: str = "ops", limit: int = 99, without: Iterable[int] = ()
    ) -> list[Delivery]:
        with reading(self.engine) as connection:
            return due_deliveries(connection, name, at(seconds), limit, list(without))

    def attempt(self, seconds: float, error: str | None = None, *, gone: bool = False) -> list[int]:
        """Attempt everything that is due, with the same outcome; return the ids of the events."""
        attempts = [Attempt(one, at(seconds), error, gone) for one in self.deliveries(seconds)]
        with writing(self.engine) as connection:
            write_attempts(connection, attempts)
        return [attempt.delivery.item.id for attempt in attempts]

    def state(self) -> SinkState:
        with reading(self.engine) as connection:
            (found,) = sink_states(connection)
        return found

    def replay(self, seconds: float) -> int:
        with writing(self.engine) as connection:
            return replay(connection, "ops", at(seconds))


@pytest.fixture
def sinks(engine: Engine) -> Sinks:
    return Sinks(engine)


@pytest.fixture
def listed(sinks: Sinks) -> Sinks:
    sinks.list(OPS)
    return sinks


def test_a_sink_begins_with_what_happens_after_it_was_first_listed(sinks: Sinks) -> None:
    sinks.happens("tgrp_1", "tgrp_2")
    sinks.list(OPS)
    assert not sinks.queue(OPS) and sinks.due(0) == []
    sinks.happens("tgrp_1")
    assert sinks.queue(OPS) and not sinks.queue(OPS)
    assert sinks.due(0) == [3]
    sinks.list(OPS, sink("new"))
    sinks.happens("tgrp_2")
    sinks.queue(OPS, sink("new"))
    assert (sinks.due(0), sinks.due(0, "new")) == ([3, 4], [4])


def test_a_sink_that_is_listed_again_goes_on_where_it_was(listed: Sinks, engine: Engine) -> None:
    listed.happens("tgrp_1")
    listed.list()
    with reading(engine) as connection:
        assert sink_states(connection) == []
        assert [state.name for state in sink_states(connection, unlisted=True)] == ["ops"]
        assert not has_unqueued(connection)
    listed.list(OPS, seconds=10)
    listed.queue(OPS)
    assert listed.due(0) == [1]


def test_only_what_a_sink_wants_is_queued(sinks: Sinks, engine: Engine) -> None:
    acme = sink("acme", 'where = { customer = "acme" }\nevents = ["group.gone", "key.rejected"]')
    globex = sink("globex", 'where = { customer = "globex" }')
    settled = sink("settled", 'events = ["group.settled"]')
    sinks.list(acme, globex, settled)
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5), 1))
    sinks.happens("tgrp_1", "unseen", None)
    with reading(engine) as connection:
        assert has_unqueued(connection)
    sinks.queue(acme, globex, settled)
    with reading(engine) as connection:
        assert not has_unqueued(connection)
    kinds = {
        name: [item.item.event.type.value for item in sinks.deliveries(0, name)]
        for name in ("acme", "globex", "settled")
    }
    assert kinds == {
        "acme": ["group.gone", "key.rejected"],
        "globex": ["key.rejected"],
        "settled": ["group.settled"],
    }


def test_a_later_event_of_a_group_waits_for_the_earlier_one(listed: Sinks) -> None:
    listed.happens("tgrp_1", "tgrp_1", "tgrp_2", None, None)
    listed.queue(OPS)
    assert listed.due(0) == [1, 3, 4]
    assert listed.due(0, without=[1, 4]) == [3]
    assert listed.due(0, limit=2) == [1, 3]
    assert listed.attempt(0) == [1, 3, 4]
    assert listed.attempt(0) == [2, 5]
    assert listed.due(0) == []
    assert (listed.state().pending, listed.state().last_success_at) == (0, at(0))


def test_a_failure_is_tried_again_with_growing_waits(listed: Sinks) -> None:
    listed.happens("tgrp_1")
    listed.queue(OPS)
    assert listed.attempt(0, "500 Internal Server Error") == [1]
    assert listed.due(4) == [] and listed.due(5) == [1]
    assert listed.attempt(5, "connection refused") == [1]
    assert listed.due(14) == [] and listed.due(15) == [1]
    state = listed.state()
    assert (state.pending, state.failed, state.oldest_pending_at) == (1, 0, at(0))
    assert (state.last_error, state.last_error_at, state.last_success_at) == (
        "connection refused",
        at(5),
        None,
    )
    assert listed.attempt(15) == [1]
    assert (listed.state().pending, listed.state().last_error) == (0, "connection refused")


def test_after_two_days_it_is_kept_as_failed_until_it_is_replayed(listed: Sinks) -> None:
    listed.happens("tgrp_1", "tgrp_1")
    listed.queue(OPS)
    listed.attempt(0, "busy")
    assert listed.attempt(48 * HOURS - 5, "busy") == [1]
    assert (listed.state().pending, listed.state().failed) == (1, 1)
    # The next one had to wait for it, and gets at least one attempt.
    assert listed.attempt(48 * HOURS, "busy") == [2]
    assert (listed.state().pending, listed.state().failed) == (0, 2)
    assert listed.due(60 * HOURS) == []
    assert listed.replay(60 * HOURS) == 2
    assert listed.due(60 * HOURS) == [1]
    assert listed.attempt(60 * HOURS, "busy") == [1]
    assert listed.attempt(60 * HOURS + 5) == [1]
    assert listed.attempt(60 * HOURS + 5) == [2]


def test_a_sink_that_wants_no_more_is_disabled_until_it_is_replayed(listed: Sinks) -> None:
    listed.happens("tgrp_1", "tgrp_2")
    listed.queue(OPS)
    listed.attempt(0, "410 Gone", gone=True)
    assert (listed.state().disabled_at, listed.state().pending) == (at(0), 2)
    listed.happens("tgrp_3")
    listed.queue(OPS, seconds=10)
    assert listed.due(100 * HOURS) == []
    assert listed.replay(100 * HOURS) == 0
    assert listed.state().disabled_at is None
    assert listed.due(100 * HOURS) == [1, 2, 3]


def test_an_event_that_is_queued_twice_is_delivered_once(listed: Sinks, engine: Engine) -> None:
    """Two recorders may believe for a moment that they have the lease."""
    listed.happens("tgrp_1")
    with writing(engine) as connection:
        queue_events(connection, [OPS], at(0))
        queue_events(connection, [OPS], at(0))
    assert listed.due(0) == [1]


def test_a_plan_from_before_the_clock_was_set_back_does_not_count(listed: Sinks) -> None:
    listed.happens("tgrp_1")
    listed.queue(OPS, seconds=10 * HOURS)
    assert listed.due(0) == []
    with writing(listed.engine) as connection:
        assert take_lease(connection, "one", at(0))
    assert listed.due(0) == [1]


def test_one_recorder_at_a_time_has_the_lease(engine: Engine) -> None:
    def take(owner: str, seconds: float) -> bool:
        with reading(engine) as connection:
            could = lease_is_free(connection, owner, at(seconds))
        with writing(engine) as connection:
            took = take_lease(connection, owner, at(seconds))
        assert could == took
        return took

    length = LEASE.total_seconds()
    assert [take("one", 0), take("two", 1), take("one", 10), take("two", 10 + length - 1)] == [
        *(True, False, True, False)
    ]
    assert take("two", 10 + length)
    assert not take("one", 12 + length)
    with writing(engine) as connection:
        release_lease(connection, "one")
    assert not take("one", 12 + length)
    with writing(engine) as connection:
        release_lease(connection, "two")
    assert take("one", 12 + length)
    back = timedelta(hours=-1).total_seconds()
    assert take("two", back)
