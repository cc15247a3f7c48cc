"""What programs ask for is carried out once, whoever takes it in and however often it is told."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from recorder.ledger.entries import MOST_RUNS, Action
from recorder.ledger.watch import WatchState
from recorder.store.batches import Deadline
from recorder.store.enrolment import cease_watching
from recorder.store.groups import find_group, find_groups
from recorder.store.requested import (
    ExpectationRequest,
    TooManyRunsError,
    request_expectation,
    take_created,
    take_created_many,
)
from recorder.store.tables import entries, request_keys, watches
from recorder.store.tombstones import ArchivedGroupError
from recorder.store.transactions import reading, writing
from recorder.store.watch_changes import BrokenLedgerError, WatchOutcomes
from tests.support.archives import archive, restore, stop
from tests.support.store_samples import RULES, at, claim_one, enrol


def _take(engine: Engine, created: Mapping[str, Mapping[str, int]], seconds: float = 5) -> WatchOutcomes:
    with writing(engine) as connection:
        return take_created_many(
            connection, created, actor="ada", now=lambda: at(seconds), rules=RULES, claimed_too=False
        )


def _state(engine: Engine, taskgroup_id: str = "a") -> tuple[WatchState, int | None]:
    with reading(engine) as connection:
        group = find_group(connection, taskgroup_id)
    assert group is not None
    return group.watch.state, group.watch.expected.runs


def _entries(engine: Engine, taskgroup_id: str = "a") -> list[str]:
    of_group = entries.c.taskgroup_id == taskgroup_id
    with reading(engine) as connection:
        return list(
            connection.scalars(select(entries.c.watch_action).where(of_group).order_by(entries.c.seq))
        )


def _cease(engine: Engine, action: Action) -> None:
    cease_watching(engine, "a", action, actor="bob", note=None, now=lambda: at(4), deadline=Deadline(0))


def test_created_groups_are_enrolled_and_their_runs_added_up(engine: Engine) -> None:
    created = {"a": {"k": 3, "l": 2}, "b": {}}
    assert _take(engine, created) == {"a": Action.STARTED, "b": Action.STARTED}
    assert _state(engine) == (WatchState.WATCHING, 5)
    assert _state(engine, "b") == (WatchState.WATCHING, None)
    assert _take(engine, created) == {"a": None, "b": None}
    assert _take(engine, {"a": {"k": 3, "l": 2, "m": 1}}) == {"a": Action.EXPECTED}
    assert _state(engine) == (WatchState.WATCHING, 6)
    assert _entries(engine) == ["started", "expected", "expected"]


@pytest.mark.parametrize("action", [Action.STOPPED, Action.GONE, Action.RETIRED])
def test_a_group_that_is_not_watched_comes_back_only_for_new_runs(engine: Engine, action: Action) -> None:
    _take(engine, {"a": {"k": 3}})
    _cease(engine, action)
    assert _take(engine, {"a": {"k": 3}}) == {"a": None}
    assert _state(engine) == (WatchState(action.value), 3)
    assert _take(engine, {"a": {"k": 3, "l": 1}}) == {"a": Action.RESUMED}
    assert _state(engine) == (WatchState.WATCHING, 4)


def test_a_paused_group_stays_paused(engine: Engine) -> None:
    _take(engine, {"a": {"k": 3}})
    _cease(engine, Action.PAUSED)
    assert _take(engine, {"a": {"l": 1}}) == {"a": Action.EXPECTED}
    assert _state(engine) == (WatchState.PAUSED, 4)


def test_a_group_with_a_poll_in_flight_waits(engine: Engine) -> None:
    enrol(engine, "a")
    claim_one(engine, "a", 1)
    created = {"a": {"k": 3}, "b": {"k": 1}}
    assert _take(engine, created) == {"b": Action.STARTED}
    found = take_created(engine, created, actor="ada", now=lambda: at(6), rules=RULES, deadline=Deadline(0))
    assert list(found) == [{"b": None}, {"a": Action.EXPECTED}]
    assert _state(engine) == (WatchState.WATCHING, 3)


def test_four_recorders_that_take_in_the_same_count_it_once(engine: Engine) -> None:
    created = {name: {f"{name}{number}": 1 for number in range(5)} for name in "dcba"}
    start = threading.Barrier(4)
    errors: list[BaseException] = []

    def take() -> None:
        try:
            start.wait()
            for _ in range(3):
                _take(engine, created)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with reading(engine) as connection:
        groups = find_groups(connection, created)
        assert len(connection.execute(select(request_keys)).all()) == 20
    assert {name: group.watch.expected.runs for name, group in groups.items()} == dict.fromkeys("abcd", 5)
    assert _entries(engine) == ["started", "expected"]


def test_one_group_that_cannot_be_changed_does_not_hold_up_the_others(engine: Engine) -> None:
    _take(engine, {"a": {"k": 3}, "b": {"k": MOST_RUNS}})
    with writing(engine) as connection:
        connection.execute(update(watches).where(watches.c.taskgroup_id == "a").values(head_seq=1))
    outcomes = _take(engine, {"a": {"l": 1}, "b": {"l": 1}, "c": {"l": 1}})
    assert isinstance(outcomes.pop("a"), BrokenLedgerError)
    assert isinstance(outcomes.pop("b"), TooManyRunsError)
    assert outcomes == {"c": Action.STARTED}
    with reading(engine) as connection:
        keys = connection.execute(select(request_keys.c.taskgroup_id, request_keys.c.key)).all()
    assert sorted(map(tuple, keys)) == [("a", "k"), ("b", "k"), ("c", "l")]


def test_an_archived_group_is_refused_only_for_new_runs(engine: Engine, tmp_path: Path) -> None:
    _take(engine, {"a": {"k": 3}, "b": {}})
    for name in ("a", "b"):
        stop(engine, name, 120)
    archive(engine, tmp_path / "old.ndjson.gz")
    assert _take(engine, {"a": {"k": 3}, "b": {}}) == {"a": None, "b": None}
    outcomes = _take(engine, {"a": {"l": 1}, "b": {}, "c": {}})
    assert isinstance(outcomes.pop("a"), ArchivedGroupError)
    assert outcomes == {"b": None, "c": Action.STARTED}
    restore(engine, tmp_path / "old.ndjson.gz")
    assert _take(engine, {"a": {"k": 3, "l": 1}}) == {"a": Action.RESUMED}
    assert _state(engine) == (WatchState.WATCHING, 4)


def test_a_request_that_fails_may_be_sent_again_with_its_key(engine: Engine) -> None:
    _take(engine, {"a": {}})
    _cease(engine, Action.STOPPED)

    def send() -> None:
        request = ExpectationRequest(add_runs=2, key="k", digest="d")
        request_expectation(engine, "a", request, actor="ada", now=lambda: at(9), deadline=Deadline(0))

    with pytest.raises(ValueError, match="stopped"):
        send()
    _take(engine, {"a": {"x": 1}})
    send()
    send()
    assert _state(engine) == (WatchState.WATCHING, 3)
