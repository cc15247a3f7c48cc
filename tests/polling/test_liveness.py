"""Which recorders count as alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recorder.polling.heartbeat import LivenessTracker
from recorder.status_file import ALIVE_SECONDS
from recorder.store.heartbeats import Heartbeat

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _beat(seconds: float) -> Heartbeat:
    at = NOON + timedelta(seconds=seconds)
    return Heartbeat("a", "host", 1, NOON, at, {}, {})


def test_a_recorder_whose_heartbeat_does_not_change_is_dead() -> None:
    tracker = LivenessTracker()
    assert tracker.dead([_beat(0)], NOON, 100) == []
    assert tracker.dead([_beat(0)], NOON, 100 + ALIVE_SECONDS) == []
    assert tracker.dead([_beat(0)], NOON, 101 + ALIVE_SECONDS) == ["a"]


def test_a_heartbeat_that_is_already_old_is_dead() -> None:
    assert LivenessTracker().dead([_beat(-ALIVE_SECONDS - 1)], NOON, 100) == ["a"]
    assert LivenessTracker().dead([_beat(-ALIVE_SECONDS + 1)], NOON, 100) == []


@pytest.mark.parametrize("skew", [-7200, 7200])
def test_a_clock_step_does_not_make_a_recorder_dead(skew: float) -> None:
    tracker = LivenessTracker()
    tracker.dead([_beat(0)], NOON, 0)
    for seconds in range(2, 60, 2):
        now = NOON + timedelta(seconds=seconds + skew)
        assert tracker.dead([_beat(seconds)], now, seconds) == []


def test_a_recorder_with_a_heartbeat_in_the_future_can_be_dead() -> None:
    tracker = LivenessTracker()
    assert tracker.dead([_beat(3600)], NOON, 0) == []
    assert tracker.dead([_beat(3600)], NOON, ALIVE_SECONDS + 1) == ["a"]
