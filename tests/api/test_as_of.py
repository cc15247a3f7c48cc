"""The status at a moment in the past, and samples at regular steps."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from recorder.queries import as_of
from tests.support.api_client import Client, Clock
from tests.support.recording import Recording, active, settled

STATUS = "/api/v1/groups/tgrp_1/status"
HISTORY = "/api/v1/groups/tgrp_1/history"


def _time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"2026-11-24T12:{int(minutes):02}:{rest:09.6f}Z"


def _record(engine: Engine) -> None:
    """Two running from 10 to 20, another status at 30, a gap from 30 to 90, a pause from 100 to 110."""
    recording = Recording(engine)
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 10, active(running=2))
    recording.see("tgrp_1", 20, active(running=2))
    recording.see("tgrp_1", 30, active(running=1, completed=1))
    for at in (45, 60, 75):
        recording.fail("tgrp_1", at)
    recording.see("tgrp_1", 90, settled(completed=2))
    recording.pause("tgrp_1", 100)
    recording.watch("tgrp_1", 110)


pytestmark = pytest.mark.ledger(fill=_record)


@pytest.fixture(autouse=True)
def late_clock(clock: Clock) -> None:
    clock.seconds = 125


KNOWN: list[tuple[float, str, int | None, dict[str, int] | None]] = [
    (0, "before", None, {"running": 2}),
    (9.999, "before", None, {"running": 2}),
    (10, "observed", 2, None),
    (20, "observed", 2, None),
    (20.000001, "between", 2, {"running": 1, "completed": 1}),
    (30, "observed", 3, None),
    (30.5, "gap", 3, {"completed": 2}),
    (89.9, "gap", 3, {"completed": 2}),
    (90, "observed", 5, None),
    (95, "open", 5, None),
    (100, "not_watched", None, None),
    (110, "open", 5, None),
    (125, "open", 5, None),
]


def test_status_at_a_moment(client: Client) -> None:
    for at, certainty, seq, next_counts in KNOWN:
        body = client.get(f"{STATUS}?at={_time(at)}")
        assert (body["certainty"], body["seq"]) == (certainty, seq), at
        next_status = body["next_status"]
        assert (next_status and next_status["task_run_status_counts"]) == next_counts
        assert (body["gap"] is not None) is (certainty == "gap")
        if certainty == "gap":
            assert (body["gap"]["from"], body["gap"]["to"]) == (_time(30), _time(90))
        entries = {item["seq"]: item for item in client.get(HISTORY)["items"]}
        for name in ("status", "phase", "observed_at", "last_seen_at", "polls", "digest", "anomalies"):
            assert body[name] == (entries[seq][name] if seq else None)


def test_status_in_an_open_gap(client: Client, clock: Clock) -> None:
    clock.seconds = 200
    body = client.get(f"{STATUS}?at={_time(115)}")
    assert (body["certainty"], body["seq"], body["next_status"]) == ("gap", 5, None)
    assert (body["gap"]["from"], body["gap"]["to"]) == (_time(110), None)


def test_the_latest_status_has_no_certainty(client: Client) -> None:
    assert client.get(STATUS)["seq"] == 5
    assert "certainty" not in client.get(STATUS)


def test_a_moment_in_the_future_is_refused(client: Client) -> None:
    (error,) = client.get(f"{STATUS}?at={_time(126)}", 422)["errors"]
    assert error["location"] == "at" and "is in the future" in error["message"]
    client.get(f"/api/v1/groups/nobody/status?at={_time(1)}", 404)
    client.get(f"{STATUS}?at=yesterday", 422)


def _samples(client: Client, query: str) -> list[tuple[Any, ...]]:
    page = client.get(f"{HISTORY}?{query}")
    assert page["next"] is None
    return [
        (item["at"], item["certainty"], item["phase"], item["changes"], item["gap_seconds"])
        for item in page["items"]
    ]


def test_samples_span_the_whole_history_by_default(client: Client) -> None:
    assert _samples(client, "step=20") == [
        (_time(0), "before", None, 1, 0.0),
        (_time(20), "observed", "active", 1, 10.0),
        (_time(40), "gap", None, 0, 20.0),
        (_time(60), "gap", None, 0, 20.0),
        (_time(80), "gap", None, 1, 10.0),
        (_time(100), "not_watched", None, 0, 0.0),
    ]
    assert _samples(client, "step=110")[-1] == (_time(110), "open", "settled", 0, 0.0)


def test_samples_of_a_period(client: Client) -> None:
    assert _samples(client, f"from={_time(15)}&to={_time(30)}&step=7.5") == [
        (_time(15), "observed", "active", 0, 0.0),
        (_time(22.5), "between", "active", 0, 0.0),
    ]
    assert _samples(client, f"from={_time(120)}&to={_time(180)}&step=5") == [
        (_time(120), "open", "settled", 0, 0.0),
        (_time(125), "open", "settled", 0, 0.0),
    ]
    assert _samples(client, f"from={_time(126)}&step=5") == []


def test_samples_agree_with_the_status_at_each_moment(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_of, "READ_AT_ONCE", 2)
    for item in client.get(f"{HISTORY}?step=2.5")["items"]:
        known = client.get(f"{STATUS}?at={item['at']}")
        assert item["certainty"] == known["certainty"]
        if item["status"] is not None:
            assert (item["status"], item["phase"]) == (known["status"], known["phase"])


@pytest.mark.parametrize("resumed", [True, False])
def test_samples_after_the_clock_was_set_back(client: Client, recording: Recording, resumed: bool) -> None:
    recording.watch("back")
    recording.see("back", 10, active(running=3))
    for at in (50, 57):
        recording.see("back", at, active(running=2))
    recording.pause("back", 20)
    if resumed:
        recording.watch("back", 25)
        recording.see("back", 30, active(running=1))
    group = "/api/v1/groups/back"
    for start in range(0, 60, 5):
        items = client.get(f"{group}/history?from={_time(start)}&to={_time(60)}&step=5")["items"]
        for item in items:
            known = client.get(f"{group}/status?at={item['at']}")
            assert item["certainty"] == known["certainty"]
            if item["status"] is not None:
                assert (item["status"], item["phase"]) == (known["status"], known["phase"])
        changed = {item["at"] for item in items if item["changes"]}
        assert changed == {_time(at) for at in ((10, 30, 50) if resumed else (10, 50)) if at >= start}


@pytest.mark.parametrize(
    ("query", "limit", "location"),
    [
        ("step=20", 7, None),
        ("step=20", 6, "from"),
        (f"from={_time(0)}&to={_time(11)}&step=5", 3, None),
        (f"from={_time(0)}&to={_time(11)}&step=5", 2, "from"),
        (f"from={_time(0)}&to={_time(11)}&step=500", 6, "step"),
    ],
)
def test_samples_over_too_many_entries_are_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch, query: str, limit: int, location: str | None
) -> None:
    expected = client.get(f"{HISTORY}?{query}")
    monkeypatch.setattr(as_of, "MAX_SAMPLED_ENTRIES", limit)
    if location is None:
        assert client.get(f"{HISTORY}?{query}") == expected
        return
    (error,) = client.get(f"{HISTORY}?{query}", 422)["errors"]
    assert error["location"] == location
    assert f"a stretch of {limit + 1} entries" in error["message"]
    assert f"at most {limit} can be sampled" in error["message"]


def test_too_many_samples_are_refused(client: Client) -> None:
    (error,) = client.get(f"{HISTORY}?step=0.001", 422)["errors"]
    assert error["location"] == "step"
    assert "at most 10,000 are returned: use 1 or more" in error["message"]
