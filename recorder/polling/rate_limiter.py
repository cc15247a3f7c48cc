"""Rate limiting: how many requests may start now."""

from __future__ import annotations

BURST_SECONDS = 1.0
"""An idle recorder saves up one request plus what the rate allows for this long, which keeps bursts small."""


class RateLimiter:
    """Grants `rate` requests per second across all recorders that share it.

    Times are readings of a monotonic clock, in seconds.
    """

    def __init__(self, rate: float, started: float) -> None:
        self._rate = rate
        self._sharers = 1
        self._saved = 1.0
        self._counted_until = started

    def share_among(self, recorders: int) -> None:
        """Set how many recorders are running; each takes an equal share."""
        self._sharers = max(1, recorders)

    @property
    def share(self) -> float:
        """How many requests per second this recorder may start."""
        return self._rate / self._sharers

    def available(self, now: float, ahead_seconds: float = 0.0) -> int:
        """Return how many requests may start at `now` and in the `ahead_seconds` after it."""
        mine = self.share
        self._saved = min(
            1.0 + mine * BURST_SECONDS, self._saved + mine * max(0.0, now - self._counted_until)
        )
        self._counted_until = now
        return int(self._saved + mine * ahead_seconds)

    def spend(self, requests: int) -> None:
        """Deduct `requests` that were started."""
        self._saved -= requests

    def seconds_until_one(self) -> float:
        """Return the time until a request may start, counted from the last call of `available`."""
        return max(0.0, (1.0 - self._saved) / self.share)
