"""The JSON members of an episode."""

from __future__ import annotations

from recorder.completion.episode_json import episode_members
from tests.support.ledgers import Ledger, body


def test_a_completed_episode() -> None:
    ledger = Ledger().see(11, body(), asked=10).see(20, body(running=3)).see(31, body(completed=2, failed=1))
    assert episode_members(ledger.only()) == {
        "number": 1,
        "started": {
            "at": "2026-11-24T12:00:15.000000Z",
            "earliest": "2026-11-24T12:00:10.000000Z",
            "latest": "2026-11-24T12:00:20.000000Z",
            "basis": "midpoint",
        },
        "completed": {
            "at": "2026-11-24T12:00:25.000000Z",
            "earliest": "2026-11-24T12:00:19.000000Z",
            "latest": "2026-11-24T12:00:31.000000Z",
            "basis": "midpoint",
        },
        "outcome": "mixed",
        "duration_seconds": 10.0,
        "duration_earliest_seconds": 0.0,
        "duration_latest_seconds": 21.0,
        "censored": False,
        "first_sight": False,
        "runs": {"total": 3, "completed": 2, "failed": 1, "cancelled": None},
        "gap_seconds": 0.0,
        "polls": 2,
        "milestones": [
            {
                "fraction": fraction,
                "runs": runs,
                "at": "2026-11-24T12:00:25.000000Z",
                "earliest": "2026-11-24T12:00:19.000000Z",
                "latest": "2026-11-24T12:00:31.000000Z",
                "basis": "midpoint",
                "seconds": 10.0,
                "seconds_earliest": 0.0,
                "seconds_latest": 21.0,
            }
            for fraction, runs in [(0.5, 2), (0.9, 3), (0.95, 3), (0.99, 3), (1, 3)]
        ],
    }


def test_an_open_episode_first_seen_in_progress() -> None:
    members = episode_members(Ledger().see(10, body(running=3)).only())
    assert members["started"] == {
        "at": "2026-11-24T12:00:10.000000Z",
        "earliest": None,
        "latest": "2026-11-24T12:00:10.000000Z",
        "basis": "first_sight",
    }
    assert (members["completed"], members["outcome"], members["censored"]) == (None, None, True)
    assert members["milestones"][0] == {
        **{"fraction": 0.5, "runs": 2},
        **dict.fromkeys(("at", "earliest", "latest", "basis")),
        **dict.fromkeys(("seconds", "seconds_earliest", "seconds_latest")),
    }
