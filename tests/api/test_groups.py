"""Groups and their current state."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.support.api_client import Client, Clock
from tests.support.recording import Recording, active, after, settled

GROUP_MEMBERS = [
    *("taskgroup_id", "state", "phase", "created_at", "metadata", "status", "seq", "observed_at"),
    *("last_seen_at", "polls", "due_at", "interval_seconds", "progress", "expected", "arrived"),
    *("open_gap", "anomalies", "eta"),
]


def test_a_group(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    status = active(running=2, completed=1, failed=1)
    members = {"metadata": {"team": "a", "size": 3}, "created_at": "2026-11-24T13:00:00.5+02:00"}
    recording.see("tgrp_1", 1, status, **members)
    recording.see("tgrp_1", 90, status, **members)
    body = client.get("/api/v1/groups/tgrp_1")
    assert list(body) == GROUP_MEMBERS
    # The second response came after a gap, so it opened an entry of its own.
    assert body["seq"] == 4
    assert body["eta"].pop("reason")
    assert body == {
        "taskgroup_id": "tgrp_1",
        "state": "watching",
        "phase": "active",
        "created_at": "2026-11-24T11:00:00.500000Z",
        "metadata": {"team": "a", "size": 3},
        "status": status,
        "seq": 4,
        "observed_at": "2026-11-24T12:01:30.000000Z",
        "last_seen_at": "2026-11-24T12:01:30.000000Z",
        "polls": 1,
        "due_at": "2026-11-24T12:01:40.000000Z",
        "interval_seconds": 10.0,
        "progress": {"finished": 2, "total": 4, "fraction": 0.5},
        "expected": None,
        "arrived": None,
        "open_gap": None,
        "anomalies": [],
        "eta": {"p10": None, "p50": None, "p90": None, "basis": None},
    }


def test_what_is_expected_and_whether_it_has_arrived(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    recording.expect("tgrp_1", 1, runs=4)
    body = client.get("/api/v1/groups/tgrp_1")
    assert (body["expected"], body["arrived"]) == ({"runs": 4, "by": None}, None)
    recording.see("tgrp_1", 10, settled(completed=3))
    body = client.get("/api/v1/groups/tgrp_1")
    assert (body["phase"], body["arrived"]) == ("settled", False)
    recording.expect("tgrp_1", 11, by=after(3600))
    recording.see("tgrp_1", 20, settled(completed=4))
    (body,) = client.get("/api/v1/groups")["items"]
    said = {"runs": 4, "by": "2026-11-24T13:00:00.000000Z"}
    assert (body["expected"], body["arrived"]) == (said, True)
    recording.expect("tgrp_1", 21, runs=None)
    assert client.get("/api/v1/groups/tgrp_1")["arrived"] is None
    recording.expect("tgrp_1", 22, by=None)
    assert client.get("/api/v1/groups/tgrp_1")["expected"] is None
    entries = client.get("/api/v1/groups/tgrp_1/history?kind=watch")["items"]
    assert [entry["watch"].get("expect") for entry in entries] == [
        None,
        {"runs": 4, "by": None},
        said,
        {**said, "runs": None},
        {"runs": None, "by": None},
    ]


def test_a_group_never_seen(client: Client, recording: Recording, clock: Clock) -> None:
    clock.seconds = 5
    recording.watch("tgrp_1")
    body = client.get("/api/v1/groups/tgrp_1")
    assert body["state"] == "watching"
    assert body["due_at"] == "2026-11-24T12:00:00.000000Z"
    assert body["progress"] == {"finished": None, "total": None, "fraction": None}
    assert body["eta"]["reason"] == "the group was never seen"
    known = {"taskgroup_id", "state", "due_at", "progress", "eta"}
    assert {body[name] is None for name in body.keys() - known} == {True}
    latest = client.get("/api/v1/groups/tgrp_1/status")
    assert latest.pop("taskgroup_id") == "tgrp_1"
    assert set(latest.values()) == {None}


def test_the_latest_status(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    status = settled(completed=2)
    recording.see("tgrp_1", 1, status)
    recording.see("tgrp_1", 11, status)
    body = client.get("/api/v1/groups/tgrp_1/status")
    (entry,) = client.get("/api/v1/groups/tgrp_1/history?kind=status")["items"]
    assert body == {
        "taskgroup_id": "tgrp_1",
        "phase": "settled",
        "status": status,
        "seq": 2,
        "observed_at": "2026-11-24T12:00:01.000000Z",
        "last_seen_at": "2026-11-24T12:00:11.000000Z",
        "polls": 2,
        "anomalies": [],
        "digest": entry["digest"],
    }


def test_an_open_gap_is_shown_after_its_grace_period(
    client: Client, recording: Recording, clock: Clock
) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1))
    for seconds in (12, 20, 30):
        recording.fail("tgrp_1", seconds)
    clock.seconds = 41
    assert client.get("/api/v1/groups/tgrp_1")["open_gap"] is None
    clock.seconds = 41.5
    assert client.get("/api/v1/groups/tgrp_1")["open_gap"] == {
        "from": "2026-11-24T12:00:01.000000Z",
        "to": None,
        "cause": "server_error",
        "attempts": 3,
        "unpolled_seconds": 0.75,
        "http_status": 503,
        "detail": "busy",
    }


@pytest.mark.parametrize(
    ("status", "progress"),
    [
        ({"num_task_runs": 0, "task_run_status_counts": {}}, (0, 0, None)),
        ({"num_task_runs": 3, "task_run_status_counts": {"cancelled": 3}}, (3, 3, 1.0)),
        ({"task_run_status_counts": {"completed": 1}}, (1, None, None)),
        ({"num_task_runs": 3}, (None, 3, None)),
        ({"num_task_runs": 3, "task_run_status_counts": {"failed": None}}, (None, 3, None)),
        ({"num_task_runs": True, "task_run_status_counts": {"failed": 1}}, (1, None, None)),
        ({"num_task_runs": 1, "task_run_status_counts": {"failed": 10**399}}, (10**399, 1, None)),
    ],
)
def test_progress_is_null_where_it_is_unknown(
    client: Client, recording: Recording, status: dict[str, object], progress: tuple[object, ...]
) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, status)
    body = client.get("/api/v1/groups/tgrp_1")
    assert tuple(body["progress"].values()) == progress
    assert body["status"] == status


@pytest.mark.parametrize(
    "status",
    [
        '{"num_task_runs": 123456789012345678901234567890, "odd": [1.5, "\\u0000", {"ü": null}]}',
        '{"deep": ' + "[" * 250 + "]" * 250 + "}",
        '{"is_active": 1, "task_run_status_counts": {"queued": null, "new": 1}}',
    ],
)
def test_a_status_is_returned_unchanged(client: Client, recording: Recording, status: str) -> None:
    recording.watch("tgrp_1")
    recording.see_raw("tgrp_1", 1, f'{{"status": {status}, "metadata": [1]}}')
    text = client.get_response("/api/v1/groups/tgrp_1").get_data(as_text=True)
    body = json.loads(text)
    assert json.dumps(body["status"], sort_keys=True) == json.dumps(json.loads(status), sort_keys=True)
    assert body["metadata"] == [1]
    assert " " not in text.replace(body["eta"]["reason"], "")


@pytest.mark.parametrize("taskgroup_id", ["a b", "100%", "ü", "a?b=c&d", "a+b", "日本", "x" * 255, "..."])
def test_ids_may_be_any_printable_text(client: Client, recording: Recording, taskgroup_id: str) -> None:
    recording.watch(taskgroup_id)
    recording.see(taskgroup_id, 1, settled(completed=1))
    path = f"/api/v1/groups/{quote(taskgroup_id, safe='')}"
    assert client.get(path)["taskgroup_id"] == taskgroup_id
    assert client.get(f"{path}/status")["taskgroup_id"] == taskgroup_id
    seqs = [page["items"][0]["seq"] for page in client.pages(f"{path}/history?limit=1")]
    assert seqs == [1, 2, None]


def test_groups_are_listed_by_enrolment_newest_first(client: Client, recording: Recording) -> None:
    recording.watch("b", 1)
    recording.watch("a", 1)
    recording.watch("z", 0)
    recording.watch("c", 2)
    recording.pause("b", 3)
    recording.watch("b", 4)
    page = client.get("/api/v1/groups")
    assert [group["taskgroup_id"] for group in page["items"]] == ["c", "a", "b", "z"]
    assert page["next"] is None
    assert page["items"][1] == client.get("/api/v1/groups/a")


def test_groups_by_phase_and_state(client: Client, recording: Recording) -> None:
    for name in ("never", "busy", "done", "paused"):
        recording.watch(name)
    recording.see("busy", 1, active(running=1))
    recording.see("done", 1, settled(completed=1))
    recording.see("paused", 1, active(running=1))
    recording.pause("paused", 2)

    def listed(filters: str) -> set[str]:
        items = client.get(f"/api/v1/groups?{filters}")["items"]
        return {group["taskgroup_id"] for group in items}

    assert listed("phase=active") == {"busy", "paused"}
    assert listed("phase=active,settled&state=watching") == {"busy", "done"}
    assert listed("state=paused") == {"paused"}
    assert listed("state=gone") == set()
