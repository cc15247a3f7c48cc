"""The record and digest of every kind of entry, compared with an independent implementation."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from recorder.ledger.chain import digest_of
from recorder.ledger.entries import Action
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.response_body import parse_body
from tests.support import chain_oracle as oracle
from tests.support.bodies import FURTHER, GROUP, RUNNING, body_value
from tests.support.records import made_record
from tests.support.stories import Story

INEXACT = f'{{"taskgroup_id": "{GROUP}", "status": {{}}, "x": 1e400, "é": "\\u0000"}}'.encode()
SPELT_OUT = (
    f'{{ "x":1.0, "é":"\\u00e9\\ud83d\\ude00", "taskgroup_id":"{GROUP}", "status":{{"b":0.10}} }}'.encode()
)
ENVELOPE = {"v", "taskgroup_id", "seq", "kind", "at", "previous"}


def _story() -> Story:
    """One entry of every kind: started, status, gap, status, paused, resumed, status."""
    story = Story()
    story.answer(1.000001, RUNNING, asked=0.5)
    story.answer(11, RUNNING, asked=10.25)
    story.fail(21, Cause.SERVER_ERROR, http_status=503, detail="busy – später")
    story.answer(120.5, FURTHER)
    story.cease(Action.PAUSED, 125, note='"quoted" \N{GRINNING FACE}')
    story.resume(200)
    story.answer(201, FURTHER)
    return story


def test_story_has_every_kind() -> None:
    assert _story().kinds == ["watch", "status", "gap", "status", "watch", "watch", "status"]


def test_records_agree() -> None:
    for entry in _story().entries:
        assert made_record(entry) == oracle.record_of(entry)


def test_chain_agrees() -> None:
    oracle.assert_chained(_story().entries)


@pytest.mark.parametrize("raw", [INEXACT, SPELT_OUT], ids=["inexact", "exact"])
def test_status_is_chained_as_it_was_received(raw: bytes) -> None:
    story = Story()
    story.answer(1, parse_body(raw))
    first, status = story.entries
    record = oracle.record_of(status, raw)
    assert ("upstream_text" in record) is (raw == INEXACT)
    assert oracle.digest_of(first.digest, record) == status.digest


def test_gap_in_full() -> None:
    entry = _story().entries[2]
    assert made_record(entry) == {
        "v": 1,
        "taskgroup_id": "tgrp_1",
        "seq": 3,
        "kind": "gap",
        "at": "2026-11-24T12:02:00.500000Z",
        "previous": {
            "last_asked_at": "2026-11-24T12:00:10.250000Z",
            "last_seen_at": "2026-11-24T12:00:11.000000Z",
            "polls": 2,
        },
        "gap": {
            "from": "2026-11-24T12:00:11.000000Z",
            "to": "2026-11-24T12:02:00.500000Z",
            "cause": "not_polled",
            "attempts": 1,
            "unpolled_seconds": 94.5,
            "http_status": None,
            "detail": None,
        },
    }


def test_watch_in_full() -> None:
    assert made_record(_story().entries[0]) == {
        "v": 1,
        "taskgroup_id": "tgrp_1",
        "seq": 1,
        "kind": "watch",
        "at": "2026-11-24T12:00:00.000000Z",
        "previous": None,
        "watch": {"action": "started", "actor": "ann", "note": None},
    }


@pytest.mark.parametrize(
    ("place", "member"),
    [(0, {"watch"}), (1, {"upstream"}), (2, {"gap"}), (3, {"upstream"}), (4, {"watch"}), (5, {"watch"})],
)
def test_record_has_exactly_its_members(place: int, member: set[str]) -> None:
    assert set(made_record(_story().entries[place])) == ENVELOPE | member


def test_inexact_record_has_exactly_its_members() -> None:
    story = Story()
    story.answer(1, parse_body(INEXACT))
    assert set(made_record(story.entries[1])) == ENVELOPE | {"upstream_text"}


def _changed(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return 0
    return value + 1 if isinstance(value, int | float) else f"{value}x"


def _variants(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return copies of `record` with one member, at any depth, changed or removed."""
    found = []
    for path in _paths(record):
        for alter in (True, False):
            copy = deepcopy(record)
            holder = copy
            for step in path[:-1]:
                holder = holder[step]
            if alter and isinstance(holder[path[-1]], dict):
                continue
            if alter:
                holder[path[-1]] = _changed(holder[path[-1]])
            else:
                del holder[path[-1]]
            found.append(copy)
    return found


def _paths(record: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths = []
    for key, value in record.items():
        paths.append((*above, key))
        if isinstance(value, dict):
            paths.extend(_paths(value, (*above, key)))
    return paths


@pytest.mark.parametrize("place", range(7))
def test_every_member_changes_the_digest(place: int) -> None:
    record = made_record(_story().entries[place])
    variants = _variants(record)
    digests = {digest_of("0" * 64, variant) for variant in [record, *variants]}
    assert len(digests) == len(variants) + 1


def test_every_part_of_an_entry_is_in_itsmade_record() -> None:
    entry = _story().entries[2]
    assert entry.previous is not None
    others = [
        replace(entry, taskgroup_id="tgrp_2"),
        replace(entry, seq=4),
        replace(entry, at=entry.previous.last_asked_at),
        replace(entry, previous=None),
        replace(entry, previous=replace(entry.previous, polls=3)),
        replace(entry, previous=replace(entry.previous, last_asked_at=entry.at)),
        replace(entry, previous=replace(entry.previous, last_seen_at=entry.at)),
    ]
    digests = {digest_of("0" * 64, made_record(other)) for other in [entry, *others]}
    assert len(digests) == len(others) + 1


def test_digest_depends_on_the_previous_digest() -> None:
    record = made_record(_story().entries[0])
    assert digest_of("0" * 64, record) != digest_of("0" * 63 + "1", record)


def test_digest_is_lower_case_hex_of_256_bits() -> None:
    for entry in _story().entries:
        assert len(entry.digest) == 64
        assert set(entry.digest) <= set("0123456789abcdef")


def test_spelling_of_a_body_does_not_change_its_digest() -> None:
    value = body_value()
    digests = set()
    for raw in (json.dumps(value), json.dumps(dict(reversed(value.items())), indent=2)):
        story = Story()
        story.answer(1, parse_body(raw.encode()))
        digests.add(story.entries[-1].digest)
    assert len(digests) == 1
