"""How many polls may start now, and what holds back the others."""

from __future__ import annotations

from datetime import datetime

from recorder.polling.circuit_breaker import CircuitBreaker
from recorder.polling.descriptor_limit import DescriptorLimit
from recorder.polling.rate_limiter import RateLimiter
from recorder.polling.retry_hold import RetryHold
from recorder.store.heartbeats import PollLimit

CLAIM_BATCH = 500
"""The maximum number of claims that wait to be polled."""
AHEAD_SECONDS = 0.6
"""For how long claims should last, so that polls need not wait for the next ones."""


class StartGate:
    """Decides by everything that limits polls; `places` is how many may run at once if nothing else does.

    Claims are made for `spare_seconds` ahead at most. `monotonic` times are readings of a monotonic clock, in
    seconds.
    """

    def __init__(
        self,
        rate_limiter: RateLimiter,
        circuit_breaker: CircuitBreaker,
        hold: RetryHold,
        descriptor_limit: DescriptorLimit,
        *,
        places: int,
        spare_seconds: float,
    ) -> None:
        self.places = places
        self._rate_limiter = rate_limiter
        self._circuit_breaker = circuit_breaker
        self._hold = hold
        self._descriptor_limit = descriptor_limit
        self._ahead_seconds = min(AHEAD_SECONDS, spare_seconds)

    def free(self, in_flight: int) -> int:
        """Return for how many more polls there is a place."""
        return min(self.places, self._descriptor_limit.allowed) - in_flight

    def may_start(self, in_flight: int, monotonic: float) -> bool:
        """Whether one more of the groups that are claimed may be polled.

        The circuit breaker only keeps more from being claimed: so that each gap can say why, the few that are
        claimed when it trips are polled.
        """
        return self.free(in_flight) > 0 and self._rate_limiter.available(monotonic) > 0

    def claims(self, in_flight: int, per_second: float, monotonic: float) -> int:
        """Return how many polls can start now and until the claims after the next ones.

        `per_second` is how many polls have ended lately.
        """
        if self._circuit_breaker.tripped:
            return self._circuit_breaker.limit(1, in_flight, monotonic)
        soon = self.free(in_flight) + int(per_second * self._ahead_seconds)
        return min(soon, self._rate_limiter.available(monotonic, self._ahead_seconds), CLAIM_BATCH)

    def limit(self, in_flight: int, now: datetime, monotonic: float) -> PollLimit | None:
        """Return what keeps polls from starting at the moment, None if nothing does."""
        if self._circuit_breaker.tripped:
            return PollLimit.KEY_REJECTED
        if self._hold.holds(now):
            return PollLimit.RETRY_AFTER
        if self.free(in_flight) <= 0:
            return PollLimit.CONCURRENCY
        return None if self._rate_limiter.available(monotonic) else PollLimit.RATE
