"""A group's history."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.ledger.chain import digest_of
from tests.support.api_client import Client, Clock
from tests.support.recording import Recording, active, settled

HISTORY = "/api/v1/groups/tgrp_1/history"
MEMBERS = [
    *("seq", "kind", "at", "observed_at", "last_seen_at", "polls", "phase", "status", "metadata"),
    *("created_at", "anomalies", "gap", "watch", "digest"),
]


@pytest.fixture
def recorded(recording: Recording) -> Recording:
    """Started at 0, active from 10, a gap from 20 to 80, settled from 80, paused at 90."""
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 10, active(running=1), metadata={"k": 1}, created_at="2026-11-24T11:00:00Z")
    recording.see("tgrp_1", 20, active(running=1), metadata={"k": 1}, created_at="2026-11-24T11:00:00Z")
    recording.fail("tgrp_1", 40)
    recording.see("tgrp_1", 80, settled(completed=1))
    recording.pause("tgrp_1", 90)
    return recording


def _seqs(body: dict[str, Any]) -> list[int | None]:
    return [item["seq"] for item in body["items"]]


@pytest.mark.usefixtures("recorded")
def test_every_kind_of_entry(client: Client) -> None:
    started, seen, gap, done, paused = client.get(HISTORY)["items"]
    assert list(started) == list(gap) == MEMBERS
    nulls = dict.fromkeys(MEMBERS)
    assert started == nulls | {
        "seq": 1,
        "kind": "watch",
        "at": "2026-11-24T12:00:00.000000Z",
        "watch": {"action": "started", "actor": "ada", "note": None},
        "digest": started["digest"],
    }
    assert seen == nulls | {
        "seq": 2,
        "kind": "status",
        "at": "2026-11-24T12:00:10.000000Z",
        "observed_at": "2026-11-24T12:00:10.000000Z",
        "last_seen_at": "2026-11-24T12:00:20.000000Z",
        "polls": 2,
        "phase": "active",
        "status": active(running=1),
        "metadata": {"k": 1},
        "created_at": "2026-11-24T11:00:00.000000Z",
        "anomalies": [],
        "digest": seen["digest"],
    }
    assert gap == nulls | {
        "seq": 3,
        "kind": "gap",
        "at": "2026-11-24T12:01:20.000000Z",
        "gap": {
            "from": "2026-11-24T12:00:20.000000Z",
            "to": "2026-11-24T12:01:20.000000Z",
            "cause": "not_polled",
            "attempts": 1,
            "unpolled_seconds": 39.5,
            "http_status": None,
            "detail": None,
        },
        "digest": gap["digest"],
    }
    assert (done["seq"], done["phase"], done["polls"]) == (4, "settled", 1)
    assert paused["watch"] == {"action": "paused", "actor": "ada", "note": "lunch"}


@pytest.mark.usefixtures("recorded")
def test_the_chain_can_be_recomputed_from_the_members(client: Client) -> None:
    first, *_ = client.get(HISTORY)["items"]
    record = {
        **{"v": 1, "taskgroup_id": "tgrp_1", "seq": 1, "kind": "watch", "previous": None},
        **{"at": first["at"], "watch": first["watch"]},
    }
    assert digest_of("0" * 64, record) == first["digest"]


FILTERS = [
    ("", [1, 2, 3, 4, 5]),
    ("order=desc", [5, 4, 3, 2, 1]),
    ("kind=status", [2, 4]),
    ("kind=gap,watch&order=desc", [5, 3, 1]),
    ("from=2026-11-24T12:00:15Z", [2, 3, 4, 5]),
    ("from=2026-11-24T12:00:20Z&to=2026-11-24T12:01:20Z", [3]),
    ("from=2026-11-24T12:01:20Z", [4, 5]),
    ("to=2026-11-24T12:00:10Z", [1]),
    ("to=2026-11-24T12:00:10.000001Z", [1, 2]),
    ("from=2026-11-24T14:00:30%2B02:00&to=2026-11-24T12:01:00Z&kind=gap", [3]),
    ("from=2027-01-01T00:00:00Z", [5]),
    ("from=2026-11-24T12:00:10Z&to=2026-11-24T12:00:10Z", []),
    ("from=2026-11-24T12:00:15Z&to=2026-11-24T12:00:15Z", []),
]


@pytest.mark.usefixtures("recorded")
def test_filters(client: Client) -> None:
    for query, seqs in FILTERS:
        assert _seqs(client.get(f"{HISTORY}?{query}")) == seqs, query


FILTERS_WITH_OPEN_GAP = [
    ("", [1, 2, None]),
    ("order=desc", [None, 2, 1]),
    ("kind=status", [2]),
    ("kind=gap", [None]),
    ("from=2026-11-24T12:00:15Z", [2, None]),
    ("from=2026-11-24T12:00:20Z", [None]),
    ("from=2026-11-24T12:00:20Z&order=desc", [None]),
    ("to=2026-11-24T12:00:20Z", [1, 2]),
    ("to=2026-11-24T12:00:20.000001Z", [1, 2, None]),
]


def test_an_open_gap_counts_as_the_newest_entry(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 10, active(running=1))
    recording.see("tgrp_1", 20, active(running=1))
    for query, seqs in FILTERS_WITH_OPEN_GAP:
        assert _seqs(client.get(f"{HISTORY}?{query}")) == seqs


def test_an_open_gap_has_no_entry(client: Client, recording: Recording, clock: Clock) -> None:
    recording.watch("tgrp_1")
    clock.seconds = 30
    assert _seqs(client.get(HISTORY)) == [1]
    clock.seconds = 30.5
    gap = client.get(HISTORY)["items"][-1]
    assert gap.pop("gap")["to"] is None
    assert gap.pop("kind") == "gap"
    assert set(gap.values()) == {None}
