"""Whatever happens to a group, in whatever order, its ledger agrees with a model of the rules."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recorder.ledger.entries import MOST_RUNS, Action
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import fail, observe, open_gap
from tests.support.bodies import moment
from tests.support.examples import examples
from tests.support.ledger_model import Model
from tests.support.short_forms import BODIES, FAILURES, HTTP_STATUS, seconds_or_none, short, short_interval
from tests.support.soundness import assert_sound
from tests.support.stories import RETIRE_AFTER, WINDOW, Story

CAUSES = st.just(Cause.NOT_FOUND) | st.sampled_from([Cause.UNREACHABLE, Cause.SERVER_ERROR, *FAILURES])
TOOK = st.sampled_from([0, 0.5, 8])
PASSED = st.sampled_from([0, 0.25, 1, 9, 10, 11, 29, 30, 31, 40, 41, 300, 450, 1000, RETIRE_AFTER])
STEPS = st.sampled_from([-0.5, -5, -20, -3600, 0.5, 20, 3600])


class Ledger(RuleBasedStateMachine):
    """A story and its model, driven in parallel."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.story = Story()
        self.model = Model()

    @property
    def asked(self) -> bool:
        """Whether the group is being polled."""
        return self.model.state in {"watching", "gone"}

    @rule(passed=PASSED)
    def time_passes(self, passed: float) -> None:
        self.now += passed

    @rule()
    def until_the_poll_is_due(self) -> None:
        if self.model.poll_due is not None:
            self.now = max(self.now, self.model.poll_due)

    @rule()
    def until_sight_is_all_but_lost(self) -> None:
        if self.model.due is not None:
            self.now = max(self.now, self.model.due + WINDOW)

    @rule(step=STEPS, noticed=st.booleans())
    def the_clock_is_set(self, step: float, noticed: bool) -> None:
        self.now += step
        if noticed:
            self.model.clock_set(step)
            self.story.watch = self.story.watch.moved(timedelta(seconds=step))

    @precondition(lambda self: self.asked)
    @rule(step=STEPS, noticed=st.booleans(), body=st.sampled_from([None, "running", "further"]))
    def an_answer_after_the_clock_was_set(self, step: float, noticed: bool, body: str | None) -> None:
        self.until_the_poll_is_due()
        self.the_clock_is_set(step, noticed)
        self.answer(body or self.model.body or "running", 0)

    @precondition(lambda self: self.asked)
    @rule(body=st.sampled_from(sorted(BODIES)), cause=CAUSES, after=st.sampled_from([0, 20, 60, 3600]))
    def a_result_is_lost(self, body: str, cause: Cause, after: float) -> None:
        """A recorder dies or loses its lease before writing, which must look as if it had not polled."""
        now, rules = moment(self.now), self.story.rules
        observe(self.story.watch, Observation(now, now, parse_body(BODIES[body][0])), rules)
        fail(self.story.watch, Failure(now, now, cause, None, "lost"), rules)
        self.now += after

    @precondition(lambda self: self.asked)
    @rule(body=st.sampled_from(sorted(BODIES)), took=TOOK, spelling=st.sampled_from([0, -1]))
    def answer(self, body: str, took: float, spelling: int = 0) -> None:
        asked, self.now = self.now, self.now + took
        self.model.answer(asked, self.now, body)
        self.story.answer(self.now, parse_body(BODIES[body][spelling]), asked=asked)

    @precondition(lambda self: self.asked and self.model.body is not None)
    @rule(times=st.integers(1, 4))
    def same_answer_in_time(self, times: int) -> None:
        for _ in range(times):
            if self.asked:
                self.until_the_poll_is_due()
                assert self.model.body is not None
                self.answer(self.model.body, 0)

    @precondition(lambda self: self.asked)
    @rule(cause=CAUSES, took=TOOK, wait=st.sampled_from([4, 60, 450]))
    def fail(self, cause: Cause, took: float, wait: float) -> None:
        asked, self.now = self.now, self.now + took
        detail, retry = f"{cause} at {self.now}", self.now + wait
        self.model.fail(asked, self.now, cause, detail, retry)
        status = HTTP_STATUS.get(cause)
        self.story.fail(asked, cause, ended=self.now, retry=retry, http_status=status, detail=detail)

    @precondition(lambda self: self.model.state == "watching")
    @rule(causes=st.lists(CAUSES, min_size=1, max_size=6), wait=st.sampled_from([4, 20, 450]))
    def outage(self, causes: list[Cause], wait: float) -> None:
        """Failures of polls, each made when it is due, until a response."""
        for cause in causes:
            if self.model.state == "watching":
                self.until_the_poll_is_due()
                self.fail(cause, 0, wait)
        self.until_the_poll_is_due()
        self.answer("running", 0)

    @precondition(lambda self: self.model.state == "watching")
    @rule(wait=st.sampled_from([300, 450]), polls=st.integers(1, 3), step=st.just(0) | STEPS)
    def missing_for_long(self, wait: float, polls: int, step: float) -> None:
        for passed in (step, *[0] * polls):
            self.until_the_poll_is_due()
            self.fail(Cause.NOT_FOUND, 0, wait)
            self.the_clock_is_set(passed, True)

    @precondition(lambda self: self.model.state == "watching")
    @rule()
    def settled_for_long(self) -> None:
        self.answer("settled", 0)
        self.now += RETIRE_AFTER
        if self.model.state == "watching":
            self.answer("settled", 0)

    @precondition(lambda self: self.asked)
    @rule(action=st.sampled_from([Action.PAUSED, Action.STOPPED]), note=st.sampled_from([None, "lunch"]))
    def cease(self, action: Action, note: str | None) -> None:
        late = self.model.late(self.now) if self.model.due is not None else 0
        self.model.cease(action, self.now, late, "ann", note)
        self.story.cease(action, self.now, note)

    @precondition(lambda self: self.model.state != "watching")
    @rule()
    def resume(self) -> None:
        self.model.resume(self.now, "ann")
        self.story.resume(self.now)

    @rule(text=st.sampled_from(["lunch", "é 𝄞"]))
    def note(self, text: str) -> None:
        self.model.add_note(self.now, text)
        self.story.note(self.now, text)

    @rule(runs=st.sampled_from([None, 1, 500, MOST_RUNS]), by=st.none() | st.integers(-3600, 10**6))
    def expect(self, runs: int | None, by: int | None) -> None:
        self.model.expect(self.now, (runs, by))
        self.story.expect(self.now, runs=runs, by=None if by is None else moment(by))

    @invariant()
    def ledger_is_as_expected(self) -> None:
        assert [short(entry) for entry in self.story.entries] == self.model.expected
        assert_sound(self.story.entries)

    @invariant()
    def watch_is_as_expected(self) -> None:
        watch, model = self.story.watch, self.model
        assert watch.state == model.state
        assert short_interval(watch.open) == model.open
        assert (watch.head.seq, watch.head.digest) == (
            len(self.story.entries),
            self.story.entries[-1].digest,
        )
        gap_at = None if model.due is None else model.due + WINDOW
        times = watch.due_at, watch.gap_at, watch.poll_due_at
        assert [seconds_or_none(time) for time in times] == [model.due, gap_at, model.poll_due]
        missing = model.missing()
        since = seconds_or_none(watch.failures.missing_since)
        assert (watch.failures.missing_polls, since) == (len(missing), missing[0].ended if missing else None)
        assert watch.sight_at == moment(model.sight if model.state == "watching" else model.ceased)
        assert (watch.expected.runs, seconds_or_none(watch.expected.by)) == model.expectation

    @invariant()
    def open_gap_shows_when_sight_is_lost(self) -> None:
        gap = open_gap(self.story.watch, moment(self.now))
        assert (gap is not None) is self.model.lost(self.now)
        if gap is not None:
            assert (gap.to, gap.attempts) == (None, len(self.model.failed))


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=examples(2),
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLedger.pytestmark = [pytest.mark.slow]
