"""The rate limiter never grants more than the rate over any period, and nobody waits forever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder.polling.rate_limiter import BURST_SECONDS, RateLimiter

RATES = st.floats(0.05, 500)


@given(RATES, st.integers(1, 5), st.lists(st.floats(0, 5), max_size=50))
def test_grants_do_not_exceed_the_rate(rate: float, recorders: int, steps: list[float]) -> None:
    limiter, now, granted = RateLimiter(rate, 0.0), 0.0, 0
    limiter.share_among(recorders)
    for step in steps:
        now += step
        available = limiter.available(now)
        limiter.spend(available)
        granted += available
    share = rate / recorders
    # One request is available at the start, and up to a second's unused requests come in a burst.
    assert granted <= now * share + 1 + share * BURST_SECONDS + 1e-6


@given(RATES, st.integers(1, 5))
def test_a_request_is_granted_after_the_reported_wait(rate: float, recorders: int) -> None:
    limiter = RateLimiter(rate, 0.0)
    limiter.share_among(recorders)
    limiter.spend(limiter.available(0.0))
    wait = limiter.seconds_until_one()
    assert limiter.available(wait * (1 + 1e-9) + 1e-9) >= 1


@given(RATES)
def test_a_steady_recorder_gets_its_full_rate(rate: float) -> None:
    limiter, granted = RateLimiter(rate, 0.0), 0
    for tick in range(1, 1001):
        available = limiter.available(tick * 0.1)
        limiter.spend(available)
        granted += available
    # The last request of the period may not be available yet.
    assert granted >= rate * 100 - 1


def test_nothing_is_granted_while_no_time_passes() -> None:
    limiter = RateLimiter(10, 0.0)
    limiter.spend(limiter.available(5.0))
    assert limiter.available(5.0) == 0
    assert limiter.available(4.0) == 0
