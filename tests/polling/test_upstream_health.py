"""What is said of the upstream's trouble: in the log once for each change in kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.polling.upstream_health import GOOD_BEATS, UpstreamHealth

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEEN = Observation(NOW, NOW, parse_body(b'{"status": {}}'))


def _failed(cause: Cause, seconds: float = 0) -> Failure:
    return Failure(NOW, NOW + timedelta(seconds=seconds), cause, None, f"{cause} at {seconds}")


def test_an_outage_is_told_once_and_its_end_once() -> None:
    trouble = UpstreamHealth()
    trouble.polled(SEEN)
    assert trouble.news() is None
    for _ in range(3):
        trouble.polled(_failed(Cause.TIMEOUT))
    assert trouble.news() == {"timeout": 3, "last": "timeout at 0"}
    trouble.polled(_failed(Cause.TIMEOUT))
    assert trouble.news() is None
    assert trouble.news() is None
    trouble.polled(_failed(Cause.SERVER_ERROR, 5))
    assert trouble.news() == {"timeout": 4, "server_error": 1, "last": "server_error at 5"}
    trouble.polled(_failed(Cause.TIMEOUT))
    assert trouble.news() is None
    for _ in range(GOOD_BEATS - 1):
        trouble.polled(SEEN)
        assert trouble.news() is None
    assert trouble.news() is None
    trouble.polled(SEEN)
    assert trouble.news() == {}
    trouble.polled(SEEN)
    assert trouble.news() is None


def test_failures_that_come_and_go_are_no_flood() -> None:
    trouble = UpstreamHealth()
    told = []
    for _ in range(20):
        trouble.polled(_failed(Cause.NOT_FOUND))
        told.append(trouble.news())
        trouble.polled(SEEN)
        told.append(trouble.news())
    assert len([news for news in told if news is not None]) == 1


def test_who_asks_is_told_since_when_what_and_how_much() -> None:
    trouble = UpstreamHealth()
    trouble.polled(SEEN)
    assert trouble.members() is None
    trouble.polled(_failed(Cause.TIMEOUT, 1))
    trouble.polled(SEEN)
    trouble.polled(_failed(Cause.RATE_LIMITED, 2))
    assert trouble.members() == {
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
    trouble.news()
    for _ in range(GOOD_BEATS):
        trouble.polled(SEEN)
        trouble.news()
    assert trouble.members() is None
