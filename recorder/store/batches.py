"""Change the watches of many groups in batches, one transaction each.

They are small enough for a recorder to wait for. Each batch is committed before its outcomes are told, and
stays whatever happens to the ones after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

from sqlalchemy import Connection, Engine

from recorder.store.transactions import writing
from recorder.store.watch_changes import WatchOutcomes

BATCH = 500
"""The maximum number of groups that are changed in one transaction."""
WAIT_SECONDS = 2.0
"""How long to wait for polls in flight, so that their results are written before the watches end."""
_CHECK_SECONDS = 0.05
_TURN_SECONDS = 0.5
_REST_SECONDS = 0.1
"""Batches follow each other for a turn, then rest: SQLite's lock goes to whoever asks while it is free, and
those who wait ask every 0.1 s."""


class Deadline:
    """The time that a command may wait for polls in flight, for all groups that it changes together.

    It begins when it is first asked about.
    """

    def __init__(self, seconds: float = WAIT_SECONDS) -> None:
        self._seconds = seconds
        self._until: float | None = None

    @property
    def passed(self) -> bool:
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        return time.monotonic() >= self._until


def when_not_polled(
    engine: Engine,
    taskgroup_ids: Iterable[str],
    change: Callable[..., WatchOutcomes],
    deadline: Deadline,
) -> Iterator[WatchOutcomes]:
    """Change groups; those with a poll in flight last, at the deadline whether it has ended or not."""
    waiting, claimed_too = list(taskgroup_ids), False
    while waiting:
        done: set[str] = set()
        now_or_later = partial(change, claimed_too=claimed_too)
        for outcomes in in_batches(engine, waiting, now_or_later):
            yield outcomes
            done |= outcomes.keys()
        waiting = [taskgroup_id for taskgroup_id in waiting if taskgroup_id not in done]
        if waiting:
            claimed_too = deadline.passed
            time.sleep(0.0 if claimed_too else _CHECK_SECONDS)


def in_batches(
    engine: Engine, taskgroup_ids: Iterable[str], change: Callable[[Connection, Sequence[str]], WatchOutcomes]
) -> Iterator[WatchOutcomes]:
    """Change groups in their order, BATCH at a time; yield the outcomes of each batch after its commit."""
    ids = iter(taskgroup_ids)
    turn_ends = time.monotonic() + _TURN_SECONDS
    while batch := list(islice(ids, BATCH)):
        if time.monotonic() >= turn_ends:
            time.sleep(_REST_SECONDS)
            turn_ends = time.monotonic() + _TURN_SECONDS
        with writing(engine) as connection:
            outcomes = change(connection, batch)
        yield outcomes
