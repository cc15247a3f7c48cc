"""Upstream failures are logged once per new cause, and summarized in the heartbeat."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.polling.upstream_health import GOOD_BEATS, UpstreamHealth, is_about_groups

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEEN = Observation(NOW, NOW, parse_body(b'{"status": {}}'))


def _failed(cause: Cause, seconds: float = 0) -> Failure:
    return Failure(NOW, NOW + timedelta(seconds=seconds), cause, None, f"{cause} at {seconds}")


def test_an_outage_and_its_end_are_logged_once() -> None:
    health = UpstreamHealth()
    health.polled(SEEN)
    assert health.news() is None
    for _ in range(3):
        health.polled(_failed(Cause.TIMEOUT))
    assert health.news() == {"timeout": 3, "last": "timeout at 0"}
    health.polled(_failed(Cause.TIMEOUT))
    assert health.news() is None
    assert health.news() is None
    health.polled(_failed(Cause.SERVER_ERROR, 5))
    assert health.news() == {"timeout": 4, "server_error": 1, "last": "server_error at 5"}
    health.polled(_failed(Cause.TIMEOUT))
    assert health.news() is None
    for _ in range(GOOD_BEATS - 1):
        health.polled(SEEN)
        assert health.news() is None
    assert health.news() is None
    health.polled(SEEN)
    assert health.news() == {}
    health.polled(SEEN)
    assert health.news() is None


def test_single_groups_that_are_not_found_are_no_failing_provider() -> None:
    health = UpstreamHealth()
    health.polled(_failed(Cause.NOT_FOUND))
    assert is_about_groups(health.news() or {})
    health.polled(_failed(Cause.TIMEOUT))
    assert not is_about_groups(health.news() or {})


def test_intermittent_failures_do_not_flood_the_log() -> None:
    health = UpstreamHealth()
    reported = []
    for _ in range(20):
        health.polled(_failed(Cause.NOT_FOUND))
        reported.append(health.news())
        health.polled(SEEN)
        reported.append(health.news())
    assert len([news for news in reported if news is not None]) == 1


def test_the_summary_has_the_failures_since_the_first_one() -> None:
    health = UpstreamHealth()
    health.polled(SEEN)
    assert health.as_json() is None
    health.polled(_failed(Cause.TIMEOUT, 1))
    health.polled(SEEN)
    health.polled(_failed(Cause.RATE_LIMITED, 2))
    assert health.as_json() == {
        "since": "2026-11-24T12:00:01.000000Z",
        "failures": {"timeout": 1, "rate_limited": 1},
        "answers": 1,
        "last_failure": {
            "at": "2026-11-24T12:00:02.000000Z",
            "cause": "rate_limited",
            "http_status": None,
            "detail": "rate_limited at 2",
        },
    }
    health.news()
    for _ in range(GOOD_BEATS):
        health.polled(SEEN)
        health.news()
    assert health.as_json() is None
