"""When a delivery is attempted again."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from recorder.notify.retries import next_attempt
from tests.support.ledgers import time


def test_waits_grow_from_seconds_to_an_hour_for_two_days() -> None:
    attempts = [time(0)]
    while (again := next_attempt(time(0), len(attempts), attempts[-1])) is not None:
        attempts.append(again)
    waits = [later - earlier for earlier, later in pairwise(attempts)]
    assert waits[0] <= timedelta(seconds=10)
    assert waits == sorted(waits) and waits[-1] == timedelta(hours=1)
    assert timedelta(hours=47) <= attempts[-1] - attempts[0] <= timedelta(hours=48)
    assert len(attempts) < 70


def test_a_delivery_that_waited_for_another_gets_an_attempt_of_its_own() -> None:
    assert next_attempt(time(0), 1, time(49 * 3600)) is None
