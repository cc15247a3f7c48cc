"""A second, deliberately simple implementation of the ledger's rules, in plain seconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from recorder.ledger.poll_outcome import Cause
from tests.support.short_forms import HTTP_STATUS, SETTLED_BODIES
from tests.support.stories import GONE_AFTER, INTERVAL, RETIRE_AFTER, WINDOW


@dataclass
class Failed:
    cause: Cause
    late: float
    detail: str
    ended: float


@dataclass
class Model:
    """The expected ledger, in seconds: `expected` has one short tuple per entry, with what it closes.

    `open` is (last asked, last seen, polls) of the newest entry if it is a status.
    """

    started: float = 0
    actor: str = "ann"
    note: str | None = None
    state: str = "watching"
    expected: list[tuple[Any, ...]] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    body: str | None = None
    expectation: tuple[int | None, float | None] = (None, None)
    open: tuple[float, float, int] | None = None

    def __post_init__(self) -> None:
        self.write("watch", self.started, "started", self.actor, self.note)
        self.sight = self.quiet_since = self.started
        self.due: float | None = self.started
        self.poll_due: float | None = self.started

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
        return ("gap", to, start, cause, len(self.failed), unpolled, HTTP_STATUS.get(cause), detail)

    def _cause(self) -> tuple[Cause | None, str | None]:
        counts = Counter(failed.cause for failed in self.failed)
        most = max(counts.values(), default=0)
        for failed in reversed(self.failed):
            if counts[failed.cause] == most:
                return failed.cause, failed.detail
        return None, None

    def cease(
        self, action: str, at: float, late: float, actor: str = "recorder", note: str | None = None
    ) -> None:
        if self.lost(at):
            self.write(*self.gap(at, late))
        self.write("watch", at, action, actor, note)
        self.state, self.ceased = action, at
        self.due = self.poll_due = None
        self.failed = []

    def resume(self, at: float, actor: str = "recorder", note: str | None = None) -> None:
        self.write("watch", at, "resumed", actor, note)
        self.state = "watching"
        self.sight = self.quiet_since = self.due = self.poll_due = at

    def add_note(self, at: float, text: str) -> None:
        self.write("watch", at, "noted", "ann", text)

    def expect(self, at: float, expectation: tuple[int | None, float | None]) -> None:
        if expectation != self.expectation:
            self.write("watch", at, "expected", "ann", None, expectation)
            self.expectation = expectation

    def answer(self, asked: float, received: float, body: str, due_in: float = INTERVAL) -> None:
        regressed = received < (self.sight if self.state == "watching" else self.ceased)
        if self.state == "gone":
            self.resume(received)
        elif self.lost(received):
            self.write(*self.gap(received, self.late(asked)))
        if body != self.body:
            self.quiet_since = received
        self.open = self._see(asked, received, body, regressed)
        self.body, self.failed, self.sight = body, [], self.open[1]
        self.due = self.poll_due = received + due_in
        if body in SETTLED_BODIES and received - self.quiet_since >= RETIRE_AFTER:
            self.due = None
            self.cease("retired", received, 0)

    def _see(self, asked: float, received: float, body: str, regressed: bool) -> tuple[float, float, int]:
        if self.open is None or body != self.body:
            self.write("status", received, body, regressed)
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
        missing = self.missing()
        if len(missing) >= 3 and ended - missing[0].ended >= GONE_AFTER:
            self.cease("gone", ended, 0)

    def late(self, asked: float) -> float:
        assert self.poll_due is not None
        return max(0.0, asked - self.poll_due)

    def clock_set(self, step: float) -> None:
        """Deadlines move with the clock; times already observed do not."""
        self.quiet_since += step
        self.due = None if self.due is None else self.due + step
        self.poll_due = None if self.poll_due is None else self.poll_due + step
        for failed in self.failed:
            failed.ended += step

    def missing(self) -> list[Failed]:
        """The 404s since the last other outcome."""
        first = len(self.failed)
        while first and self.failed[first - 1].cause is Cause.NOT_FOUND:
            first -= 1
        return self.failed[first:]
