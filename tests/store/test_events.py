"""Events are written with their cause and published in one order without holes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from recorder.completion.summary import SUMMARY_RULES
from recorder.ledger.entries import Action
from recorder.ledger.poll_outcome import Cause, Failure
from recorder.notify.events import Event, EventType
from recorder.notify.upstream import UpstreamReport, UpstreamState
from recorder.store.clock_events import find_stalled, read_upstream_state, report_upstream
from recorder.store.enrolment import Deadline, cease_watching
from recorder.store.event_tables import events
from recorder.store.events import (
    PublishedEvent,
    add_events,
    last_event_id,
    publish_events,
    read_events,
)
from recorder.store.history import read_entries
from recorder.store.rebuilding import rebuild_all
from recorder.store.tables import summaries
from recorder.store.transactions import reading, writing
from tests.support.databases import Engines, postgres_database
from tests.support.event_oracle import expected_events
from tests.support.store_samples import at, body, enrol, failed, poll, seen

STALL_AFTER = timedelta(seconds=1800)
WINDOW = timedelta(seconds=30)


def publish(engine: Engine) -> list[PublishedEvent]:
    with writing(engine) as connection:
        return publish_events(connection)


def everything(engine: Engine, after: int = 0) -> list[PublishedEvent]:
    with reading(engine) as connection:
        return read_events(connection, after=after, limit=1000)


def told(engine: Engine) -> list[tuple[str, str | None, int | None]]:
    return [(item.event.type.value, item.event.taskgroup_id, item.event.seq) for item in everything(engine)]


def made_up(subject: int, seconds: float = 0) -> Event:
    return Event(EventType.KEY_REJECTED, str(subject), at(seconds), None, None, {})


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    """A group with two episodes and an anomaly, and one that came and went unseen."""
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5, future=1), 13))
    enrol(engine, "Gruppe ä", 20)
    poll(engine, "Gruppe ä", seen(body("Gruppe ä", 5), 21))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5, total=7), 320))
    return engine


EXPECTED = [
    ("group.started", "tgrp_1", 2),
    ("group.anomaly", "tgrp_1", 3),
    ("group.settled", "tgrp_1", 3),
    ("group.started", "Gruppe ä", 2),
    ("group.settled", "Gruppe ä", 2),
    ("group.started", "tgrp_1", 5),
]


def test_events_are_published_in_their_order(recorded: Engine) -> None:
    assert everything(recorded) == []
    published = publish(recorded)
    assert [item.id for item in published] == [1, 2, 3, 4, 5, 6]
    assert everything(recorded) == published
    assert told(recorded) == EXPECTED
    assert publish(recorded) == []


def test_the_events_of_a_ledger_are_those_an_oracle_finds(recorded: Engine) -> None:
    publish(recorded)
    for group in ("tgrp_1", "Gruppe ä"):
        with reading(recorded) as connection:
            ledger = list(read_entries(connection, group))
            found = read_events(connection, taskgroup_id=group, limit=1000)
        keys = [(item.event.type.value, item.event.subject, item.event.seq) for item in found]
        assert keys == expected_events(ledger)


def test_a_settled_event_has_the_episode(recorded: Engine) -> None:
    publish(recorded)
    with reading(recorded) as connection:
        (first, _) = read_events(connection, types=[EventType.SETTLED], limit=10)
    data = first.event.data
    assert (data["taskgroup_id"], data["seq"], data["number"]) == ("tgrp_1", 3, 1)
    assert data["outcome"] == "completed"
    assert data["runs"] == {"total": 5, "completed": 5, "failed": None, "cancelled": None}


def test_a_rebuild_writes_no_events(recorded: Engine) -> None:
    publish(recorded)
    before = everything(recorded)
    list(rebuild_all(recorded))
    assert publish(recorded) == []
    assert everything(recorded) == before


def test_events_follow_from_the_new_entry_alone_if_the_summary_must_be_rebuilt(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1, future=1), 1))
    with writing(engine) as connection:
        connection.execute(events.delete())
        connection.execute(update(summaries).values(rules=SUMMARY_RULES - 1))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5, future=1), 13))
    publish(engine)
    assert told(engine) == [("group.settled", "tgrp_1", 3)]


def test_gone_and_returned_are_events_and_stopped_is_none(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    for seconds in (1, 500, 1000):
        poll(engine, "tgrp_1", failed(seconds, Cause.NOT_FOUND, 404))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 2000))
    cease_watching(
        *(engine, "tgrp_1", Action.STOPPED),
        actor="ann",
        note=None,
        now=lambda: at(2001),
        deadline=Deadline(0),
    )
    publish(engine)
    assert [kind for kind, _, _ in told(engine)] == ["group.gone", "group.returned", "group.started"]


def test_an_event_that_exists_is_not_written_again(engine: Engine) -> None:
    for _ in range(2):
        with writing(engine) as connection:
            add_events(connection, [made_up(1)])
    assert len(publish(engine)) == 1
    with writing(engine) as connection:
        add_events(connection, [made_up(1), made_up(2)])
    assert [item.id for item in publish(engine)] == [2]


def test_a_transaction_that_fails_leaves_neither_event_nor_hole(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        add_events(connection, [made_up(1)])
        publish_events(connection)
        raise ZeroDivisionError
    with writing(engine) as connection:
        add_events(connection, [made_up(2)])
    assert [(item.id, item.event.subject) for item in publish(engine)] == [(1, "2")]


def test_filters_and_places(recorded: Engine) -> None:
    publish(recorded)
    with reading(recorded) as connection:
        ids = {
            "after": [item.id for item in read_events(connection, after=4, limit=10)],
            "limit": [item.id for item in read_events(connection, limit=2)],
            "types": [item.id for item in read_events(connection, types=[EventType.STARTED], limit=10)],
            "group": [item.id for item in read_events(connection, taskgroup_id="Gruppe ä", limit=10)],
        }
        assert last_event_id(connection) == 6
    assert ids == {"after": [5, 6], "limit": [1, 2], "types": [1, 4, 6], "group": [4, 5]}


def test_events_of_a_group_keep_their_order_when_the_clock_steps_back(engine: Engine) -> None:
    enrol(engine, "tgrp_1", 100)
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 101))
    with writing(engine) as connection:
        connection.execute(update(events).values(at=at(5000)))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 5), 113))
    publish(engine)
    assert [kind for kind, _, _ in told(engine)] == ["group.started", "group.settled"]


@pytest.fixture
def two_writers(kept_engines: Engines, postgres: str, postgres_template: str) -> Iterator[Engine]:
    """A database in which two transactions can write at the same time."""
    with postgres_database(postgres, "recorder", postgres_template) as url, kept_engines.open(url) as engine:
        yield engine


class Follower:
    """Keeps its place, as a client of the API does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seen: list[int] = []
        self.subjects: list[str] = []

    def look(self) -> None:
        for item in everything(self._engine, after=self.seen[-1] if self.seen else 0):
            self.seen.append(item.id)
            self.subjects.append(item.event.subject)


def test_commits_in_another_order_than_writes_leave_no_holes(two_writers: Engine) -> None:
    follower = Follower(two_writers)
    with ExitStack() as late:
        connection = late.enter_context(writing(two_writers))
        add_events(connection, [made_up(1, seconds=1)])
        with writing(two_writers) as other:
            add_events(other, [made_up(2, seconds=2)])
        publish(two_writers)
        follower.look()
        assert (follower.seen, follower.subjects) == ([1], ["2"])
    publish(two_writers)
    follower.look()
    assert (follower.seen, follower.subjects) == ([1, 2], ["2", "1"])


def test_a_publisher_does_not_wait_for_another(two_writers: Engine) -> None:
    with writing(two_writers) as connection:
        add_events(connection, [made_up(1)])
    with writing(two_writers) as slow:
        assert [item.id for item in publish_events(slow)] == [1]
        assert publish(two_writers) == []
        assert everything(two_writers) == []
    assert [item.id for item in everything(two_writers)] == [1]


@pytest.mark.parametrize("seed", range(5))
def test_a_follower_misses_nothing_whatever_the_order_of_commits(two_writers: Engine, seed: int) -> None:
    chance, follower, subject = random.Random(seed), Follower(two_writers), 0
    running: list[ExitStack] = []
    for _ in range(60):
        step = chance.random()
        if step < 0.4 and len(running) < 4:
            stack = ExitStack()
            connection = stack.enter_context(writing(two_writers))
            subject += 1
            add_events(connection, [made_up(subject, seconds=chance.random())])
            running.append(stack)
        elif step < 0.7 and running:
            running.pop(chance.randrange(len(running))).close()
        elif step < 0.85:
            publish(two_writers)
        else:
            follower.look()
    for stack in running:
        stack.close()
    publish(two_writers)
    follower.look()
    assert follower.seen == list(range(1, subject + 1))
    assert sorted(map(int, follower.subjects)) == list(range(1, subject + 1))


def stalled(engine: Engine, seconds: float) -> list[Event]:
    with writing(engine) as connection:
        found = find_stalled(connection, STALL_AFTER, at(seconds))
        add_events(connection, found)
    return found


def test_a_standstill_is_told_once_after_it_was_seen_for_long_enough(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 13))
    assert stalled(engine, 4000) == []
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1802))
    (event,) = stalled(engine, 1803)
    assert (event.seq, event.at) == (2, at(1803))
    assert event.data["unchanged_seconds"] == 1801
    assert event.data["since"] == "2026-11-24T12:00:01.000000Z"
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 4000))
    assert stalled(engine, 4001) == []
    poll(engine, "tgrp_1", seen(body("tgrp_1", 2), 5000))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 2), 6801))
    assert len(stalled(engine, 6802)) == 1


@pytest.mark.parametrize("done", [5, 1])
def test_settled_and_paused_groups_do_not_stall(engine: Engine, done: int) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", done), 1))
    poll(engine, "tgrp_1", seen(body("tgrp_1", done), 1900))
    if done < 5:
        cease_watching(
            *(engine, "tgrp_1", Action.PAUSED),
            actor="ann",
            note=None,
            now=lambda: at(1901),
            deadline=Deadline(0),
        )
    assert stalled(engine, 5000) == []


def report(engine: Engine, seconds: float, outcome: Failure | None) -> UpstreamState:
    told = UpstreamReport(answered=outcome is None, failed=outcome)
    with writing(engine) as connection:
        state = report_upstream(connection, told, at(seconds), WINDOW)
    with reading(engine) as connection:
        assert read_upstream_state(connection) == state
    return state


def test_an_outage_is_kept_for_all_recorders(engine: Engine) -> None:
    for seconds in (0, 20, 40, 60):
        report(engine, seconds, failed(seconds))
    assert report(engine, 70, failed(70)) == UpstreamState(at(0), at(0), outages=1)
    assert report(engine, 80, None) == UpstreamState(outages=1)
    for seconds in (100, 200):
        report(engine, seconds, failed(seconds))
    published = publish(engine)
    assert [(item.event.type.value, item.event.subject, item.event.at) for item in published] == [
        ("upstream.down", "1", at(40)),
        ("upstream.up", "1", at(80)),
        ("upstream.down", "2", at(200)),
    ]
    assert published[0].event.data["cause"] == "server_error"
