"""Watching, pausing and stopping write one entry each, and none if nothing changes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine, select, update

from recorder.clock import Clock
from recorder.ledger.entries import Action, Gap, WatchChange
from recorder.ledger.watch import WatchState
from recorder.store import batches
from recorder.store.batches import Deadline
from recorder.store.enrolment import (
    cease_groups,
    cease_watching,
    enrol_groups,
    resume_groups,
    watch_group,
)
from recorder.store.groups import find_group
from recorder.store.history import read_entries
from recorder.store.tables import watches
from recorder.store.transactions import reading, writing
from recorder.store.watch_changes import (
    BrokenLedgerError,
    Enrolment,
    UnknownGroupError,
    WatchOutcomes,
    enrol_many,
)
from tests.support.store_samples import RULES, at, body, claim_one, enrol, failed, poll, seen


def _changes(engine: Engine, taskgroup_id: str) -> list[tuple[str, str, str | None]]:
    with reading(engine) as connection:
        entries = list(read_entries(connection, taskgroup_id))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    return [
        (entry.content.action.value, entry.content.actor, entry.content.note)
        for entry in entries
        if isinstance(entry.content, WatchChange)
    ]


def _state(engine: Engine, taskgroup_id: str) -> WatchState:
    with reading(engine) as connection:
        group = find_group(connection, taskgroup_id)
    assert group is not None
    return group.watch.state


def _watch(engine: Engine, seconds: float, note: str | None = None) -> Action | None:
    return watch_group(engine, "tgrp_1", actor="bob", note=note, now=lambda: at(seconds), rules=RULES)


def _cease(engine: Engine, action: Action, seconds: float) -> Action | None:
    return cease_watching(
        engine, "tgrp_1", action, actor="bob", note="why", now=lambda: at(seconds), deadline=Deadline(0)
    )


def test_life_cycle_of_a_watch(engine: Engine) -> None:
    assert _watch(engine, 0, "March") is Action.STARTED
    assert _watch(engine, 1) is None
    assert _cease(engine, Action.PAUSED, 2) is Action.PAUSED
    assert _cease(engine, Action.PAUSED, 3) is None
    assert _watch(engine, 4) is Action.RESUMED
    assert _cease(engine, Action.STOPPED, 5) is Action.STOPPED
    assert _cease(engine, Action.PAUSED, 6) is None
    assert _cease(engine, Action.STOPPED, 7) is None
    assert _state(engine, "tgrp_1") is WatchState.STOPPED
    assert _changes(engine, "tgrp_1") == [
        ("started", "bob", "March"),
        ("paused", "bob", "why"),
        ("resumed", "bob", None),
        ("stopped", "bob", "why"),
    ]


def test_a_paused_group_can_be_stopped(engine: Engine) -> None:
    _watch(engine, 0)
    _cease(engine, Action.PAUSED, 1)
    assert _cease(engine, Action.STOPPED, 2) is Action.STOPPED


def test_a_group_that_was_never_watched_is_unknown(engine: Engine) -> None:
    with pytest.raises(UnknownGroupError):
        _cease(engine, Action.STOPPED, 1)


def test_pausing_closes_the_open_gap(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    for seconds in (12, 20, 40):
        poll(engine, "tgrp_1", failed(seconds))
    _cease(engine, Action.PAUSED, 50)
    with reading(engine) as connection:
        gap = list(read_entries(connection, "tgrp_1"))[-2].content
    assert isinstance(gap, Gap)
    assert (gap.from_, gap.to, gap.attempts, gap.http_status) == (at(1), at(50), 3, 503)


def test_enrolling_at_the_same_time_starts_one_ledger(engine: Engine) -> None:
    actions: list[Action | None] = []
    start = threading.Barrier(4)

    def enrol_at_once() -> None:
        start.wait()
        actions.append(_watch(engine, 0))

    threads = [threading.Thread(target=enrol_at_once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(actions, key=str) == sorted([Action.STARTED, None, None, None], key=str)
    assert _changes(engine, "tgrp_1") == [("started", "bob", None)]


def test_the_time_of_an_entry_is_read_after_locking_the_row(engine: Engine) -> None:
    _watch(engine, 0)
    free = threading.Event()
    was_free: list[bool] = []

    def now() -> datetime:
        was_free.append(free.is_set())
        return at(5)

    def pause() -> None:
        cease_watching(engine, "tgrp_1", Action.PAUSED, actor="bob", note=None, now=now, deadline=Deadline(0))

    with writing(engine) as connection:
        connection.execute(select(watches).with_for_update())
        waiting = threading.Thread(target=pause)
        waiting.start()
        # Without the lock, pausing would have finished within this time.
        waiting.join(0.3)
        free.set()
    waiting.join()
    assert was_free == [True]


def _watch_all(engine: Engine, ids: list[str], seconds: float = 0) -> dict[str, object]:
    found = _enrolling(engine, ids, "all", lambda: at(seconds))
    return {taskgroup_id: outcome for outcomes in found for taskgroup_id, outcome in outcomes.items()}


def _enrolling(engine: Engine, ids: Iterable[str], note: str | None, now: Clock) -> Iterator[WatchOutcomes]:
    wanted = dict.fromkeys(ids, Enrolment(note))
    return enrol_groups(engine, wanted, actor="ada", now=now, rules=RULES, deadline=Deadline(0))


def _pause_all(engine: Engine, ids: list[str], deadline: Deadline) -> list[dict[str, object]]:
    paused = cease_groups(
        engine, ids, Action.PAUSED, actor="bob", note=None, now=lambda: at(3), deadline=deadline
    )
    return [dict(outcomes) for outcomes in paused]


@pytest.fixture
def batches_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH", 2)


@pytest.mark.usefixtures("batches_of_two")
def test_many_groups_each_have_an_outcome_of_their_own(engine: Engine) -> None:
    assert _watch_all(engine, ["c", "a", "b"]) == dict.fromkeys("cab", Action.STARTED)
    assert _pause_all(engine, ["b", "nobody", "a"], Deadline(0))[1:] == [{"a": Action.PAUSED}]
    with writing(engine) as connection:
        connection.execute(update(watches).where(watches.c.taskgroup_id == "b").values(head_seq=1))
    outcomes = _watch_all(engine, ["d", "c", "b", "a"], 4)
    broken = outcomes.pop("b")
    assert isinstance(broken, BrokenLedgerError) and "entry 1" in str(broken)
    assert outcomes == {"d": Action.STARTED, "c": None, "a": Action.RESUMED}
    assert _changes(engine, "a") == [
        ("started", "ada", "all"),
        ("paused", "bob", None),
        ("resumed", "ada", "all"),
    ]
    assert len(_changes(engine, "b")) == 2
    (known,) = resume_groups(engine, ["e", "d"], actor="ada", note=None, now=lambda: at(5), rules=RULES)
    assert isinstance(known["e"], UnknownGroupError)
    assert list(known) == ["e", "d"]


def test_groups_that_are_enrolled_together_have_a_note_each(engine: Engine) -> None:
    with writing(engine) as connection:
        wanted = {"b": Enrolment("first"), "a": Enrolment()}
        outcomes = enrol_many(connection, wanted, actor="ada", now=lambda: at(0), rules=RULES)
    assert outcomes == {"b": Action.STARTED, "a": Action.STARTED}
    assert _changes(engine, "b") == [("started", "ada", "first")]
    assert _changes(engine, "a") == [("started", "ada", None)]


@pytest.mark.usefixtures("batches_of_two")
def test_batches_stay_when_a_later_one_fails(engine: Engine) -> None:
    times = [at(0)]

    def fails_later() -> datetime:
        if not times:
            raise RuntimeError("a defect")
        return times.pop()

    found = _enrolling(engine, "abcd", None, fails_later)
    assert next(found) == {"a": Action.STARTED, "b": Action.STARTED}
    with pytest.raises(RuntimeError, match="a defect"):
        next(found)
    with reading(engine) as connection:
        assert set(connection.scalars(select(watches.c.taskgroup_id))) == {"a", "b"}


def test_groups_with_a_poll_in_flight_are_paused_last(engine: Engine) -> None:
    enrol(engine, "busy")
    claim_one(engine, "busy", 1)
    enrol(engine, "idle")
    assert _pause_all(engine, ["busy", "idle"], Deadline(0)) == [
        {"idle": Action.PAUSED},
        {"busy": Action.PAUSED},
    ]


def test_commands_that_change_the_same_groups_wait_for_each_other(engine: Engine) -> None:
    found: list[dict[str, object]] = []

    def enrol_one(connection: Connection, taskgroup_id: str) -> None:
        enrol_many(connection, {taskgroup_id: Enrolment()}, actor="bob", now=lambda: at(0), rules=RULES)

    with writing(engine) as connection:
        enrol_one(connection, "a")
        waiting = threading.Thread(target=lambda: found.append(_watch_all(engine, ["c", "b", "a"])))
        waiting.start()
        # If it had begun with another group, the two would wait for each other.
        waiting.join(0.3)
        enrol_one(connection, "b")
        enrol_one(connection, "c")
    waiting.join()
    assert found == [{"c": None, "b": None, "a": None}]
