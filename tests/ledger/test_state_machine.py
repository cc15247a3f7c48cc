"""Whatever happens to a group, in whatever order, the ledger agrees with a second telling of the rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recorder.ledger.decision import open_gap
from recorder.ledger.entries import Action, Entry, Gap, Interval, Status, WatchChange
from recorder.ledger.outcome import Cause
from tests.ledger.model import Model
from tests.ledger.oracle import assert_chained
from tests.ledger.samples import EMPTY, FURTHER, RUNNING, SETTLED, counted, moment
from tests.ledger.stories import RETIRE_AFTER, WINDOW, Story

BODIES = {
    "running": RUNNING,
    "further": FURTHER,
    "settled": SETTLED,
    "failed": counted(3, False, failed=3),
    "empty": EMPTY,
}
CAUSES = [Cause.NOT_FOUND, Cause.NOT_FOUND, Cause.UNREACHABLE, Cause.SERVER_ERROR, Cause.CLIENT_ERROR]
STEPS = st.sampled_from(
    [0, 0.25, 1, 9, 10, 11, 29, 30, 31, 40, 41, 300, 450, 1000, RETIRE_AFTER, -0.5, -20, -3600]
)


class Ledger(RuleBasedStateMachine):
    """A story and its model, driven in step."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.story = self.new_story()
        self.model = Model()

    def new_story(self) -> Story:
        """What is compared with the model; a store can take its place."""
        return Story()

    @rule(step=STEPS)
    def time_passes(self, step: float) -> None:
        self.now += step

    @rule()
    def until_the_poll_is_due(self) -> None:
        if self.model.poll_due is not None:
            self.now = max(self.now, self.model.poll_due)

    @rule()
    def until_sight_is_all_but_lost(self) -> None:
        if self.model.due is not None:
            self.now = max(self.now, self.model.due + WINDOW)

    @precondition(lambda self: self.model.state in {"watching", "gone"})
    @rule(said=st.sampled_from(sorted(BODIES)), took=st.sampled_from([0, 0.5, 8]))
    def answer(self, said: str, took: float) -> None:
        asked, self.now = self.now, self.now + took
        self.model.answer(asked, self.now, said)
        self.story.answer(self.now, BODIES[said], asked=asked)

    @precondition(lambda self: self.model.state in {"watching", "gone"} and self.model.said is not None)
    @rule(times=st.integers(1, 4))
    def same_answer_in_time(self, times: int) -> None:
        for _ in range(times):
            if self.model.state in {"watching", "gone"}:
                self.until_the_poll_is_due()
                assert self.model.said is not None
                self.answer(self.model.said, 0)

    @precondition(lambda self: self.model.state in {"watching", "gone"})
    @rule(
        cause=st.sampled_from(CAUSES), took=st.sampled_from([0, 0.5, 8]), wait=st.sampled_from([4, 60, 450])
    )
    def fail(self, cause: Cause, took: float, wait: float) -> None:
        asked, self.now = self.now, self.now + took
        detail, retry = f"{cause} at {self.now}", self.now + wait
        self.model.fail(asked, self.now, cause, detail, retry)
        self.story.fail(asked, cause, ended=self.now, retry=retry, detail=detail)

    @precondition(lambda self: self.model.state == "watching")
    @rule(
        causes=st.lists(st.sampled_from(CAUSES), min_size=1, max_size=6), wait=st.sampled_from([4, 20, 450])
    )
    def outage(self, causes: list[Cause], wait: float) -> None:
        """Failures, each asked for when it is due, until something answers."""
        for cause in causes:
            if self.model.state == "watching":
                self.until_the_poll_is_due()
                self.fail(cause, 0, wait)
        self.until_the_poll_is_due()
        self.answer("running", 0)

    @precondition(lambda self: self.model.state == "watching")
    @rule()
    def settled_for_long(self) -> None:
        self.answer("settled", 0)
        self.now += RETIRE_AFTER
        if self.model.state == "watching":
            self.answer("settled", 0)

    @precondition(lambda self: self.model.state in {"watching", "gone"})
    @rule(action=st.sampled_from([Action.PAUSED, Action.STOPPED]))
    def cease(self, action: Action) -> None:
        self.model.cease(action, self.now, self.model.late(self.now) if self.model.due is not None else 0)
        self.story.cease(action, self.now)

    @precondition(lambda self: self.model.state != "watching")
    @rule()
    def resume(self) -> None:
        self.model.resume(self.now)
        self.story.resume(self.now)

    @invariant()
    def ledger_is_as_expected(self) -> None:
        assert [_short(entry) for entry in self.story.entries] == self.model.expected
        assert self.story.watch.state == self.model.state

    @invariant()
    def chain_is_intact(self) -> None:
        assert_chained(self.story.entries)
        assert self.story.watch.head.digest == self.story.entries[-1].digest
        assert self.story.watch.head.seq == len(self.story.entries)

    @invariant()
    def no_status_is_said_twice_in_a_row(self) -> None:
        for before, entry in _pairs(self.story.entries):
            if isinstance(before.content, Status) and isinstance(entry.content, Status):
                assert before.content.body.fingerprint != entry.content.body.fingerprint

    @invariant()
    def open_interval_is_as_expected(self) -> None:
        assert _interval(self.story.watch.open) == self.model.open

    @invariant()
    def no_gap_while_not_watched(self) -> None:
        watched = False
        for entry in self.story.entries:
            if isinstance(entry.content, WatchChange):
                watched = entry.content.action in {Action.STARTED, Action.RESUMED}
            assert watched or isinstance(entry.content, WatchChange)

    @invariant()
    def a_gap_is_followed_by_what_ended_it(self) -> None:
        assert not isinstance(self.story.entries[-1].content, Gap)
        for before, entry in _pairs(self.story.entries):
            if isinstance(before.content, Gap):
                assert before.content.to == before.at == entry.at
                assert before.content.from_ <= before.at
                assert before.content.unpolled_seconds >= 0

    @invariant()
    def open_gap_shows_when_sight_is_lost(self) -> None:
        gap = open_gap(self.story.watch, moment(self.now))
        assert (gap is not None) is self.model.lost(self.now)
        if gap is not None:
            assert (gap.to, gap.attempts) == (None, len(self.model.failed))

    @invariant()
    def sight_is_as_expected(self) -> None:
        if self.model.state == "watching":
            assert self.story.watch.sight_at == moment(self.model.sight)
            assert self.model.due is not None
            assert self.story.watch.due_at == moment(self.model.due)


def _pairs(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    return list(pairwise(entries))


def _seconds(time: datetime) -> float:
    return (time - moment(0)).total_seconds()


def _interval(interval: Interval | None) -> tuple[float, float, int] | None:
    if interval is None:
        return None
    return _seconds(interval.last_asked_at), _seconds(interval.last_seen_at), interval.polls


def _short(entry: Entry) -> tuple[Any, ...]:
    return (str(entry.kind), _seconds(entry.at), *_content(entry.content), _interval(entry.previous))


def _content(content: Status | Gap | WatchChange) -> tuple[Any, ...]:
    if isinstance(content, WatchChange):
        return (content.action,)
    if isinstance(content, Gap):
        numbers = content.attempts, content.unpolled_seconds
        return (_seconds(content.from_), content.cause, *numbers, content.detail)
    return tuple(said for said, body in BODIES.items() if body == content.body)


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
