"""A recorder's counters."""

from __future__ import annotations

from datetime import UTC, datetime

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.polling.upstream_health import Counters

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEEN = Observation(NOW, NOW, parse_body(b'{"status": {}}'))


def _failed(cause: Cause) -> Failure:
    return Failure(NOW, NOW, cause, None, "")


def test_counts_by_cause() -> None:
    counters = Counters()
    counters.polled(SEEN)
    counters.polled(_failed(Cause.TIMEOUT))
    counters.polled(_failed(Cause.TIMEOUT))
    counts = counters.as_dict()
    assert (counts["polls"], counts["failures"], counts["failures.timeout"]) == (3, 2, 2)
    assert counts["entries"] == 0
