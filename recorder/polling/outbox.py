"""What polls brought and is not written yet."""

from __future__ import annotations

from collections import deque

from recorder.store.claims import Finished

BATCH = 500
"""How many results one transaction writes at most."""


class Outbox:
    """Results in the order in which they came. No more are polled for while it cannot be emptied, so that
    it never holds more than the recorder's concurrency."""

    def __init__(self) -> None:
        self._waiting: deque[Finished] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, finished: Finished) -> None:
        self._waiting.append(finished)

    def take(self) -> list[Finished]:
        """Take out a batch; what could not be written goes back with `put_back`."""
        return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]

    def put_back(self, batch: list[Finished]) -> None:
        self._waiting.extendleft(reversed(batch))
