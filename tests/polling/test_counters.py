"""What is worth a line in the log: a change in kind, not every failure."""

from __future__ import annotations

from datetime import UTC, datetime

from recorder.ledger.body import parse_body
from recorder.ledger.outcome import Cause, Failure, Observation
from recorder.polling.counters import GOOD_BEATS, Counters

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEEN = Observation(NOW, NOW, parse_body(b'{"status": {}}'))


def _failed(cause: Cause) -> Failure:
    return Failure(NOW, NOW, cause, None, "")


def test_an_outage_is_told_once_and_its_end_once() -> None:
    counters = Counters()
    counters.polled(SEEN)
    assert counters.news() is None
    for _ in range(3):
        counters.polled(_failed(Cause.TIMEOUT))
    assert counters.news() == {"timeout": 3}
    counters.polled(_failed(Cause.TIMEOUT))
    assert counters.news() is None
    assert counters.news() is None
    counters.polled(_failed(Cause.SERVER_ERROR))
    assert counters.news() == {"server_error": 1}
    counters.polled(_failed(Cause.TIMEOUT))
    assert counters.news() is None
    for _ in range(GOOD_BEATS - 1):
        counters.polled(SEEN)
        assert counters.news() is None
    assert counters.news() is None
    counters.polled(SEEN)
    assert counters.news() == {}
    counters.polled(SEEN)
    assert counters.news() is None


def test_failures_that_come_and_go_are_no_flood() -> None:
    counters = Counters()
    told = []
    for _ in range(20):
        counters.polled(_failed(Cause.NOT_FOUND))
        told.append(counters.news())
        counters.polled(SEEN)
        told.append(counters.news())
    assert [news for news in told if news is not None] == [{"not_found": 1}]


def test_counts_by_cause() -> None:
    counters = Counters()
    counters.polled(SEEN)
    counters.polled(_failed(Cause.TIMEOUT))
    counters.polled(_failed(Cause.TIMEOUT))
    counts = counters.as_dict()
    assert (counts["polls"], counts["failures"], counts["failures.timeout"]) == (3, 2, 2)
    assert counts["entries"] == 0
