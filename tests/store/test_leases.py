"""Claims decide which recorder may poll a group, and whose results are written."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, select

from recorder.ledger.entries import Action
from recorder.store.enrolment import Deadline, cease_watching
from recorder.store.groups import find_group
from recorder.store.history import read_entries
from recorder.store.leases import claim_due, release, write_results
from recorder.store.tables import watches
from recorder.store.transactions import reading, writing
from tests.support.store_samples import (
    LEASE,
    OWNER,
    at,
    body,
    claim_one,
    enrol,
    failed,
    finished,
    poll,
    seen,
    written,
)


def _claimed(engine: Engine, seconds: float, owner: str = OWNER, limit: int = 100) -> list[str]:
    with writing(engine) as connection:
        claims = claim_due(
            connection, owner=owner, now=at(seconds), lease_until=at(seconds) + LEASE, limit=limit
        )
    return [claim.watch.taskgroup_id for claim in claims]


def _kinds(engine: Engine, taskgroup_id: str) -> list[str]:
    with reading(engine) as connection:
        return [entry.kind.value for entry in read_entries(connection, taskgroup_id)]


def test_due_groups_are_claimed_longest_due_first(engine: Engine) -> None:
    for number in range(4):
        enrol(engine, f"tgrp_{number}", seconds=10 * number)
    assert set(_claimed(engine, 21, limit=2)) == {"tgrp_0", "tgrp_1"}
    assert _claimed(engine, 21) == ["tgrp_2"]
    assert _claimed(engine, 29) == []


def test_a_claimed_group_is_due_again_when_its_lease_expires(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    assert _claimed(engine, 1, owner="died") == ["tgrp_1"]
    assert _claimed(engine, 30.9, owner="second") == []
    assert _claimed(engine, 31, owner="second") == ["tgrp_1"]


def test_a_claim_changes_no_indexed_column(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    indexed = {column.name for index in watches.indexes for column in index.columns}
    with reading(engine) as connection:
        before = connection.execute(select(watches)).mappings().one()
    claim_one(engine, "tgrp_1", 5)
    with reading(engine) as connection:
        after = connection.execute(select(watches)).mappings().one()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"owner", "lease_until"}
    assert not changed & indexed


def test_neither_claim_nor_lease_moves_due_at_or_gap_at(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    first = claim_one(engine, "tgrp_1", 5, owner="died")
    second = claim_one(engine, "tgrp_1", 60)
    for claim in (first, second):
        assert (claim.watch.due_at, claim.watch.gap_at, claim.watch.poll_due_at) == (at(0), at(30), at(0))


def test_concurrent_claims_never_overlap(engine: Engine) -> None:
    for number in range(60):
        enrol(engine, f"tgrp_{number:02}")
    claimed: list[str] = []

    def claim_all(owner: str) -> None:
        while ids := _claimed(engine, 1, owner=owner, limit=7):
            claimed.extend(ids)

    threads = [threading.Thread(target=claim_all, args=(f"recorder-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [f"tgrp_{number:02}" for number in range(60)]


def test_results_and_watch_row_are_written_together(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 11.5))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 2), 30))
    assert _kinds(engine, "tgrp_1") == ["watch", "status", "status"]
    with reading(engine) as connection:
        group = find_group(connection, "tgrp_1")
        row = connection.execute(select(watches)).one()
    assert group is not None
    assert group.watch.head.seq == 3
    assert (row.owner, row.lease_until) == (None, None)
    assert row.next_poll_at == group.watch.due_at == at(40)


def test_a_claim_taken_over_by_another_recorder_writes_nothing(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    slow = claim_one(engine, "tgrp_1", 1, owner="slow")
    quick = claim_one(engine, "tgrp_1", 40, owner="quick")
    with writing(engine) as connection:
        assert written(connection, finished(quick, seen(body("tgrp_1", 2), 41))) == {"tgrp_1"}
    with writing(engine) as connection:
        assert written(connection, finished(slow, seen(body("tgrp_1", 1), 10))) == set()
    assert _kinds(engine, "tgrp_1") == ["watch", "gap", "status"]


def test_an_old_claim_of_the_same_recorder_writes_nothing(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    old = claim_one(engine, "tgrp_1", 1)
    claim_one(engine, "tgrp_1", 40)
    with writing(engine) as connection:
        assert written(connection, finished(old, seen(body("tgrp_1", 1), 10))) == set()
    assert _kinds(engine, "tgrp_1") == ["watch"]


@pytest.mark.parametrize("newer_first", [True, False])
def test_only_the_newer_of_two_claims_in_a_batch_is_written(engine: Engine, newer_first: bool) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    old = finished(claim_one(engine, "tgrp_1", 11), seen(body("tgrp_1", 2), 12))
    new = finished(claim_one(engine, "tgrp_1", 42), seen(body("tgrp_1", 1), 43))
    with writing(engine) as connection:
        batch = [new, old] if newer_first else [old, new]
        assert write_results(connection, batch).results == [new]
    poll(engine, "tgrp_1", seen(body("tgrp_1", 3), 80))
    assert _kinds(engine, "tgrp_1") == ["watch", "status", "gap", "status", "status"]


def test_pausing_a_group_discards_its_poll_in_flight(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    claim = claim_one(engine, "tgrp_1", 1)
    cease_watching(
        engine, "tgrp_1", Action.PAUSED, actor="ada", note=None, now=lambda: at(2), deadline=Deadline(0)
    )
    with writing(engine) as connection:
        assert written(connection, finished(claim, seen(body("tgrp_1", 1), 3))) == set()
    assert _kinds(engine, "tgrp_1") == ["watch", "watch"]
    assert _claimed(engine, 1000) == []


def test_a_lost_claim_does_not_affect_the_rest_of_its_batch(engine: Engine) -> None:
    claims = {}
    for name in ("tgrp_a", "tgrp_b", "tgrp_c"):
        enrol(engine, name)
        claims[name] = claim_one(engine, name, 1)
    cease_watching(
        engine, "tgrp_b", Action.STOPPED, actor="ada", note=None, now=lambda: at(2), deadline=Deadline(0)
    )
    with writing(engine) as connection:
        batch = [finished(claim, seen(body(name, 1), 3)) for name, claim in claims.items()]
        assert written(connection, *batch) == {"tgrp_a", "tgrp_c"}
    assert _kinds(engine, "tgrp_b") == ["watch", "watch"]
    assert _kinds(engine, "tgrp_c") == ["watch", "status"]


def test_failures_are_kept_until_they_become_a_gap(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", failed(1))
    poll(engine, "tgrp_1", failed(8))
    with reading(engine) as connection:
        group = find_group(connection, "tgrp_1")
    assert group is not None
    assert group.watch.failures.attempts == 2
    assert group.watch.failures.commonest() == group.watch.failures.tallies[0]
    assert group.watch.due_at == at(0)


def test_release_makes_unfinished_groups_due_immediately(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    claim = claim_one(engine, "tgrp_1", 1)
    enrol(engine, "tgrp_2")
    claim_one(engine, "tgrp_2", 1, owner="other")
    with writing(engine) as connection:
        assert release(connection, [OWNER]) == 1
    assert _claimed(engine, 2) == ["tgrp_1"]
    with writing(engine) as connection:
        assert written(connection, finished(claim, seen(body("tgrp_1", 1), 1.5))) == set()
