"""Stored bodies and digests are read back unchanged, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from recorder.ledger.chain import GENESIS, digest_of
from recorder.ledger.entries import Entry, StatusContent
from recorder.ledger.poll_outcome import Observation
from recorder.ledger.response_body import parse_body
from recorder.store.history import HistoryFilter, StatusItem, read_entries, read_history
from recorder.store.transactions import reading
from tests.support.records import made_record
from tests.support.store_samples import at, body, enrol, failed, poll, seen

STRANGE: list[dict[str, Any]] = [
    {},
    {"metadata": None},
    {"metadata": {"n": 1, "b": True, "f": 0.1, "s": "\0𝄞", "e": 1e300}},
    {"created_at": "2026-11-24T11:59:00.123456789+01:00"},
    {"created_at": "yesterday"},
    {"taskgroup_id": "another"},
    {"future": {"deep": [[[{"x": None}]]]}},
    {"status": {}},
    {"status": {"num_task_runs": "5", "task_run_status_counts": None, "is_active": 1, "modified_at": 7}},
    {"status": {"num_task_runs": True, "task_run_status_counts": {"queued": None, "failed": 0, "new": 3}}},
    {"status": {"num_task_runs": 2**53, "task_run_status_counts": {}, "is_active": False}},
    {"status": {"num_task_runs": 10**30, "task_run_status_counts": [], "status_message": "a\0b"}},
]


def _chain_is_intact(entries: list[Entry]) -> bool:
    digest = GENESIS
    for entry in entries:
        digest = digest_of(digest, made_record(entry))
        if digest != entry.digest:
            return False
    return True


@pytest.mark.parametrize("members", STRANGE, ids=lambda members: json.dumps(members)[:60])
def test_bodies_are_read_back_unchanged(engine: Engine, members: dict[str, Any]) -> None:
    enrol(engine, "tgrp_1")
    sent = {**body("tgrp_1", 1), **members}
    observation = seen(sent, 1)
    poll(engine, "tgrp_1", observation)
    poll(engine, "tgrp_1", failed(12))
    poll(engine, "tgrp_1", seen(sent, 80))
    with reading(engine) as connection:
        entries = list(read_entries(connection, "tgrp_1"))
        items = read_history(connection, "tgrp_1", HistoryFilter(), 10)
    assert [entry.kind.value for entry in entries] == ["watch", "status", "gap", "status"]
    assert _chain_is_intact(entries)
    for entry, item in zip(entries, items, strict=True):
        if isinstance(entry.content, StatusContent):
            assert entry.content.body == observation.body
            assert isinstance(item.content, StatusItem)
            assert item.content.value == observation.body.value


def test_history_of_a_window(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    for seconds, completed in ((1, 0), (12, 1), (23, 2), (34, 3)):
        poll(engine, "tgrp_1", seen(body("tgrp_1", completed), seconds))

    def found(**query: Any) -> list[int]:
        with reading(engine) as connection:
            return [item.seq for item in read_history(connection, "tgrp_1", HistoryFilter(**query), 100)]

    assert found() == [1, 2, 3, 4, 5]
    assert found(descending=True) == [5, 4, 3, 2, 1]
    assert found(since=at(12), until=at(23)) == [3]
    assert found(since=at(13), until=at(24)) == [3, 4]
    assert found(since=at(40)) == [5]
    assert found(until=at(1)) == [1]
    assert found(after_seq=3) == [4, 5]
    assert found(after_seq=3, descending=True) == [2, 1]
    assert found(until=at(0)) == []


def test_a_window_within_a_gap_finds_the_gap(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 0), 1))
    poll(engine, "tgrp_1", failed(12))
    poll(engine, "tgrp_1", seen(body("tgrp_1", 0), 80))
    with reading(engine) as connection:
        during = read_history(connection, "tgrp_1", HistoryFilter(since=at(30), until=at(31)), 100)
    assert [item.seq for item in during] == [3]


def test_observations_are_compared_as_json(engine: Engine) -> None:
    enrol(engine, "tgrp_1")
    for seconds, text in ((1, "1"), (12, "1.0"), (30, "true")):
        raw = f'{{"status": {{"num_task_runs": {text}}}}}'.encode()
        poll(engine, "tgrp_1", Observation(at(seconds - 0.5), at(seconds), parse_body(raw)))
    with reading(engine) as connection:
        assert len(list(read_entries(connection, "tgrp_1"))) == 3
