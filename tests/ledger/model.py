"""The rules told a second time, in plain seconds and as plainly as can be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from recorder.ledger.outcome import Cause
from tests.ledger.stories import GONE_AFTER, INTERVAL, RETIRE_AFTER, WINDOW

SETTLED_BODIES = {"settled", "failed"}


@dataclass
class Failed:
    cause: Cause
    late: float
    detail: str
    ended: float


@dataclass
class Model:
    """What is expected, in seconds: `expected` lists one short tuple an entry, and what it closes.

    `open` is (last asked, last seen, polls) of the newest entry, if that is a status.
    """

    state: str = "watching"
    expected: list[tuple[Any, ...]] = field(default_factory=lambda: [("watch", 0, "started", None)])
    sight: float = 0
    due: float | None = 0
    poll_due: float | None = 0
    failed: list[Failed] = field(default_factory=list)
    said: str | None = None
    quiet_since: float = 0
    open: tuple[float, float, int] | None = None

    def write(self, *entry: Any) -> None:
        self.expected.append((*entry, self.open))
        self.open = None

    def lost(self, now: float) -> bool:
        return self.due is not None and now > self.due + WINDOW

    def gap(self, to: float, late: float) -> tuple[Any, ...]:
        unpolled = sum(failed.late for failed in self.failed) + late
        start = min(self.sight, to)
        cause, detail = self._cause()
        if cause is None or unpolled > (to - start) / 2:
            cause, detail = Cause.NOT_POLLED, None
        return ("gap", to, start, cause, len(self.failed), unpolled, detail)

    def _cause(self) -> tuple[Cause | None, str | None]:
        counts = Counter(failed.cause for failed in self.failed)
        most = max(counts.values(), default=0)
        for failed in reversed(self.failed):
            if counts[failed.cause] == most:
                return failed.cause, failed.detail
        return None, None

    def cease(self, action: str, at: float, late: float) -> None:
        if self.lost(at):
            self.write(*self.gap(at, late))
        self.write("watch", at, action)
        self.state = action
        self.due = self.poll_due = None
        self.failed = []

    def resume(self, at: float) -> None:
        self.write("watch", at, "resumed")
        self.state = "watching"
        self.sight = self.quiet_since = self.due = self.poll_due = at

    def answer(self, asked: float, received: float, said: str) -> None:
        if self.state == "gone":
            self.resume(received)
        elif self.lost(received):
            self.write(*self.gap(received, self.late(asked)))
        if said != self.said:
            self.quiet_since = received
        self.open = self._see(asked, received, said)
        self.said, self.failed, self.sight = said, [], self.open[1]
        self.due = self.poll_due = received + INTERVAL
        if said in SETTLED_BODIES and received - self.quiet_since >= RETIRE_AFTER:
            self.due = None
            self.cease("retired", received, 0)

    def _see(self, asked: float, received: float, said: str) -> tuple[float, float, int]:
        if self.open is None or said != self.said:
            self.write("status", received, said)
            return asked, received, 1
        before_asked, before_received, polls = self.open
        if received < before_received:
            return before_asked, before_received, polls + 1
        return asked, received, polls + 1

    def fail(self, asked: float, ended: float, cause: Cause, detail: str, retry: float) -> None:
        if self.state != "watching":
            return
        self.failed.append(Failed(cause, self.late(asked), detail, ended))
        self.poll_due = retry
        missing = self._missing()
        if len(missing) >= 3 and ended - missing[0].ended >= GONE_AFTER:
            self.cease("gone", ended, 0)

    def late(self, asked: float) -> float:
        assert self.poll_due is not None
        return max(0.0, asked - self.poll_due)

    def _missing(self) -> list[Failed]:
        """The 404s since anything else was said."""
        first = len(self.failed)
        while first and self.failed[first - 1].cause is Cause.NOT_FOUND:
            first -= 1
        return self.failed[first:]
