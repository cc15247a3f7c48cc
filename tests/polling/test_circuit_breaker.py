"""Which polls may start while the upstream is rejecting the API key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recorder.ledger.poll_outcome import Cause, Failure, Observation, PollOutcome
from recorder.ledger.response_body import parse_body
from recorder.polling.circuit_breaker import REJECTIONS, CircuitBreaker
from recorder.polling.schedule import LONGEST_RETRY, Intervals

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
INTERVALS = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 32)))


def _at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def _failed(cause: Cause, seconds: float = 0) -> Failure:
    return Failure(_at(seconds), _at(seconds), cause, 401, "no")


def _seen(seconds: float = 0) -> Observation:
    return Observation(_at(seconds), _at(seconds), parse_body(b'{"status": {}}'))


def _after(*outcomes: PollOutcome) -> CircuitBreaker:
    breaker = CircuitBreaker(INTERVALS)
    for outcome in outcomes:
        breaker.polled(outcome, 0)
    return breaker


def _tripped() -> CircuitBreaker:
    return _after(*[_failed(Cause.UNAUTHORIZED)] * REJECTIONS)


def test_trips_after_enough_rejected_polls_in_a_row() -> None:
    breaker = _after(*[_failed(Cause.UNAUTHORIZED)] * (REJECTIONS - 1))
    assert breaker.limit(50, 3, 0) == 50
    breaker.polled(_failed(Cause.UNAUTHORIZED), 0)
    assert breaker.tripped and breaker.limit(50, 0, 0) == 0


def test_one_forbidden_group_does_not_trip_it() -> None:
    breaker = _after(*[_failed(Cause.UNAUTHORIZED), _seen()] * 20)
    assert not breaker.tripped and breaker.held_until is None


@pytest.mark.parametrize("cause", [c for c in Cause if c is not Cause.UNAUTHORIZED])
def test_other_failures_do_not_trip_it(cause: Cause) -> None:
    assert not _after(*[_failed(cause)] * 10).tripped


def test_probes_are_sent_one_at_a_time_with_growing_delays() -> None:
    breaker, now, waits = _tripped(), 0.0, []
    for _ in range(30):
        earliest = next(t for t in range(1_000_000) if breaker.limit(50, 0, now + t / 10))
        waits.append(earliest / 10)
        now += earliest / 10
        assert breaker.limit(50, 0, now) == 1
        assert breaker.limit(50, 1, now) == 0
        breaker.polled(_failed(Cause.UNAUTHORIZED, now), now)
    assert waits[:3] == [4, 8, 8]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_RETRY.total_seconds()


@pytest.mark.parametrize("outcome", [_seen(9), _failed(Cause.NOT_FOUND, 9)], ids=["seen", "not_found"])
def test_a_response_resets_it(outcome: PollOutcome) -> None:
    breaker = _tripped()
    breaker.polled(outcome, 9)
    assert breaker.limit(50, 7, 9) == 50
    assert breaker.held_until == _at(9)
    breaker.polled(_failed(Cause.UNAUTHORIZED), 10)
    assert not breaker.tripped


def test_a_probe_that_fails_for_another_reason_leaves_it_tripped() -> None:
    breaker = _tripped()
    breaker.polled(_failed(Cause.SERVER_ERROR, 4), 4)
    assert breaker.tripped and breaker.limit(50, 0, 5) == 0 and breaker.limit(50, 0, 12) == 1


def test_polls_are_held_back_until_the_next_probe() -> None:
    assert _tripped().held_until == _at(4)
