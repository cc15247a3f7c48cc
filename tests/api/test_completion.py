"""A group's completion as JSON; how episodes are computed is tested in tests/completion."""

from __future__ import annotations

import pytest

from recorder.queries import completion
from tests.support.api_client import Client
from tests.support.recording import Recording, active, settled

COMPLETION = "/api/v1/groups/tgrp_1/completion"


def test_episodes_and_times(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 0.5, {"num_task_runs": 0, "task_run_status_counts": {}})
    recording.see("tgrp_1", 10.5, active(running=2))
    recording.see("tgrp_1", 20.5, active(running=1, completed=1))
    recording.see("tgrp_1", 30.5, settled(completed=2))
    recording.see("tgrp_1", 40.5, active(completed=2, queued=1))
    recording.see("tgrp_1", 50.5, active(completed=2, queued=1))
    body = client.get(COMPLETION)
    assert list(body) == ["episodes", "run_seconds", "dwell_seconds", "eta"]
    first, second = body["episodes"]
    assert first == {
        "number": 1,
        "started": {
            "at": "2026-11-24T12:00:05.375000Z",
            "earliest": "2026-11-24T12:00:00.250000Z",
            "latest": "2026-11-24T12:00:10.500000Z",
            "basis": "midpoint",
        },
        "completed": {
            "at": "2026-11-24T12:00:25.375000Z",
            "earliest": "2026-11-24T12:00:20.250000Z",
            "latest": "2026-11-24T12:00:30.500000Z",
            "basis": "midpoint",
        },
        "outcome": "completed",
        "duration_seconds": 20.0,
        "duration_earliest_seconds": 9.75,
        "duration_latest_seconds": 30.25,
        "censored": False,
        "first_sight": False,
        "runs": {"total": 2, "completed": 2, "failed": None, "cancelled": None},
        "gap_seconds": 0.0,
        "polls": 3,
        "milestones": first["milestones"],
    }
    half, *others = first["milestones"]
    assert half == {
        "fraction": 0.5,
        "runs": 1,
        "at": "2026-11-24T12:00:15.375000Z",
        "earliest": "2026-11-24T12:00:10.250000Z",
        "latest": "2026-11-24T12:00:20.500000Z",
        "basis": "midpoint",
        "seconds": 10.0,
        "seconds_earliest": 0.0,
        "seconds_latest": 20.25,
    }
    assert [(each["fraction"], each["runs"]) for each in others] == [(0.9, 2), (0.95, 2), (0.99, 2), (1, 2)]
    assert [(each["runs"], each["at"]) for each in second["milestones"]] == [(1, None)] * 5
    assert (second["censored"], second["completed"], second["outcome"]) == (True, None, None)
    assert second["duration_latest_seconds"] is None
    assert body["run_seconds"]["running"] == 30.0
    assert body["run_seconds"]["queued"] == 10.0
    assert body["dwell_seconds"] == {
        "active": 30.0,
        "blocked": 0.0,
        "empty": 10.0,
        "settled": 10.0,
        "unclear": 0.0,
    }
    assert body["eta"]["reason"] == "fewer than 10 runs were seen to finish in this episode"


def test_only_the_newest_episodes_have_milestones(
    client: Client, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "MOST_WITH_MILESTONES", 2)
    recording.watch("tgrp_1")
    for number in (1, 2, 3):
        recording.see("tgrp_1", 10 * number, settled(completed=number))
    assert [each["milestones"] is None for each in client.get(COMPLETION)["episodes"]] == [True, False, False]
    recording.see("tgrp_1", 40, active(completed=3, running=1))
    assert [each["milestones"] is None for each in client.get(COMPLETION)["episodes"]] == [
        *(True, True),
        *(False, False),
    ]


def test_a_group_that_is_not_active_has_no_eta(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, settled(completed=2))
    body = client.get(COMPLETION)
    assert body["eta"] == {
        "p10": None,
        "p50": None,
        "p90": None,
        "basis": None,
        "reason": "the group is not active but settled",
    }
    (episode,) = body["episodes"]
    assert episode["first_sight"]


def test_a_group_never_seen_has_no_episodes(client: Client, recording: Recording) -> None:
    recording.watch("tgrp_1")
    assert client.get(COMPLETION)["episodes"] == []
