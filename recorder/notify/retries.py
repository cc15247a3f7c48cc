"""When a delivery that failed is attempted again, and when it is given up."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(hours=48)


def next_attempt(queued_at: datetime, attempts: int, now: datetime) -> datetime | None:
    """Return when to try again after so many failed attempts, None to give up.

    `queued_at` is when the delivery became due. Each wait is twice as long as the one before.
    """
    wait = LONGEST_WAIT if attempts > 12 else min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT)
    at = now + wait
    return None if at - queued_at > GIVE_UP_AFTER else at
