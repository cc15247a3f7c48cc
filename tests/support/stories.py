"""Stories: one group's ledger, driven in plain seconds after noon."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from recorder.ledger.entries import (
    Action,
    Entry,
    ExpectationChanges,
    Gap,
    Kind,
    StatusContent,
    WatchChange,
)
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.transitions import Rules, Transition, cease, expect, fail, observe, remark, resume, start
from recorder.ledger.watch import Watch
from tests.support.bodies import GROUP, RUNNING, moment

WINDOW = 30
GONE_AFTER = 900
RETIRE_AFTER = 7200
INTERVAL = 10
SEEN, DUE_AT, GAP_AT = 100, 110, 140
RULES = Rules(timedelta(seconds=WINDOW), timedelta(seconds=GONE_AFTER), timedelta(seconds=RETIRE_AFTER))
NEVER_RETIRES = replace(RULES, retire_after=None)


class Story:
    """One group's ledger in seconds after noon, which begins with `started` at 0.

    After a response the next poll is due INTERVAL later; after a failure it is due at `retry`.
    """

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.entries: list[Entry] = []
        self._take(start(GROUP, WatchChange(Action.STARTED, "ann", None), moment(0), rules))

    watch: Watch

    @property
    def kinds(self) -> list[Kind]:
        return [entry.kind for entry in self.entries]

    @property
    def actions(self) -> list[Action]:
        return [entry.content.action for entry in self.entries if isinstance(entry.content, WatchChange)]

    @property
    def gaps(self) -> list[Gap]:
        return [entry.content for entry in self.entries if isinstance(entry.content, Gap)]

    @property
    def statuses(self) -> list[StatusContent]:
        return [entry.content for entry in self.entries if isinstance(entry.content, StatusContent)]

    def answer(
        self, received: float, body: ResponseBody = RUNNING, *, asked: float | None = None, age: float = 0
    ) -> tuple[Entry, ...]:
        """Record a response; it was requested at the time it was received unless `asked` is given."""
        asked = received if asked is None else asked
        seen = Observation(moment(asked), moment(received), body, timedelta(seconds=age))
        entries = self._take(observe(self.watch, seen, self.rules))
        if self.watch.state == "watching":
            self.due(received + INTERVAL)
        return entries

    def fail(
        self,
        asked: float,
        cause: Cause = Cause.UNREACHABLE,
        *,
        ended: float | None = None,
        retry: float | None = None,
        http_status: int | None = None,
        detail: str = "refused",
    ) -> tuple[Entry, ...]:
        ended = asked if ended is None else ended
        failure = Failure(moment(asked), moment(ended), cause, http_status, detail)
        entries = self._take(fail(self.watch, failure, self.rules))
        if self.watch.state == "watching":
            self.watch = replace(self.watch, poll_due_at=moment(ended + 5 if retry is None else retry))
        return entries

    def missing(self, asked: float, *, retry: float | None = None) -> tuple[Entry, ...]:
        return self.fail(asked, Cause.NOT_FOUND, http_status=404, detail="no such group", retry=retry)

    def cease(self, action: Action, at: float, note: str | None = None) -> tuple[Entry, ...]:
        return self._take(cease(self.watch, WatchChange(action, "ann", note), moment(at)))

    def note(self, at: float, text: str = "a note") -> tuple[Entry, ...]:
        return self._take(remark(self.watch, WatchChange(Action.NOTED, "ann", text), moment(at)))

    def expect(self, at: float, **changes: Any) -> tuple[Entry, ...]:
        return self._take(expect(self.watch, cast(ExpectationChanges, changes), "ann", moment(at)))

    def pause(self, at: float) -> tuple[Entry, ...]:
        return self.cease(Action.PAUSED, at)

    def resume(self, at: float) -> tuple[Entry, ...]:
        return self._take(
            resume(self.watch, WatchChange(Action.RESUMED, "ann", None), moment(at), self.rules)
        )

    def due(self, seconds: float) -> None:
        due_at, gap_at = moment(seconds), moment(seconds + WINDOW)
        self.watch = replace(self.watch, due_at=due_at, gap_at=gap_at, poll_due_at=due_at)

    def _take(self, step: Transition) -> tuple[Entry, ...]:
        self.watch = step.watch
        self.entries.extend(step.entries)
        return step.entries


def seen_at_100() -> Story:
    """A story whose last response came at SEEN, with a poll due at DUE_AT and a gap after GAP_AT."""
    story = Story()
    story.answer(0)
    story.due(SEEN)
    story.answer(SEEN)
    return story
