"""Answers from caches: seen as of when they were given, and no sight if that is no news."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recorder.ledger.cached_answer import stale_failure
from recorder.ledger.entries import Action, Interval
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.watch import WatchState
from tests.support.bodies import FURTHER, RUNNING, SETTLED, moment
from tests.support.stories import GAP_AT, NEVER_RETIRES, RULES, SEEN, Story, seen_at_100


def cached(received: float, age: float, body: ResponseBody) -> Observation:
    return Observation(moment(received), moment(received), body, timedelta(seconds=age))


def poll(story: Story, received: float, age: float, body: ResponseBody = RUNNING) -> Cause | None:
    """Record an answer as the recorder does; return the cause if it is a failure."""
    seen = cached(received, age, body)
    failure = stale_failure(story.watch, seen)
    if failure is not None:
        story.fail(received, failure.cause, http_status=failure.http_status, detail=failure.detail)
        return failure.cause
    story.answer(received, body, age=age)
    return None


def test_an_aged_answer_prolongs_the_interval_to_when_it_was_given() -> None:
    story = seen_at_100()
    assert poll(story, 115, 5) is None
    assert story.watch.open == Interval(moment(110), moment(110), 3)


def test_an_aged_status_is_observed_when_it_was_given() -> None:
    story = seen_at_100()
    assert poll(story, 115, 5, FURTHER) is None
    assert story.entries[-1].at == moment(110)
    assert story.statuses[-1].anomalies == ()
    assert story.watch.open == Interval(moment(110), moment(110), 1)


@pytest.mark.parametrize(
    ("asked", "last_asked"),
    [
        pytest.param(115, 105, id="asked after the answer was given"),
        pytest.param(104, 104, id="asked before the answer was given"),
    ],
)
def test_when_a_status_was_last_asked_for(asked: float, last_asked: float) -> None:
    story = seen_at_100()
    story.answer(116, asked=asked, age=10)
    assert story.watch.open == Interval(moment(last_asked), moment(106), 3)


@pytest.mark.parametrize(
    ("received", "age", "body"),
    [
        pytest.param(110, 10, RUNNING, id="the last one again"),
        pytest.param(110, 10, FURTHER, id="another one of the same time"),
        pytest.param(110, 11, FURTHER, id="an earlier one"),
        pytest.param(110.6, 10, RUNNING, id="perhaps the last one again, as ages are whole seconds"),
        pytest.param(110, 2**31, RUNNING, id="one from before the group was watched"),
    ],
)
def test_an_answer_that_is_not_newer_is_stale(received: float, age: float, body: ResponseBody) -> None:
    failure = stale_failure(seen_at_100().watch, cached(received, age, body))
    assert isinstance(failure, Failure)
    assert (failure.cause, failure.http_status, failure.ended_at) == (Cause.STALE, 200, moment(received))
    assert str(int(age)) in failure.detail


@pytest.mark.parametrize(
    ("received", "age", "body"),
    [
        pytest.param(110.6, 10, FURTHER, id="another body, given later"),
        pytest.param(111, 10, RUNNING, id="the same body, a second later"),
        pytest.param(100, 0, RUNNING, id="no cache"),
        pytest.param(99, 0, RUNNING, id="no cache, and our clock was set back"),
        pytest.param(50, 5, RUNNING, id="a cache, and our clock was set back"),
    ],
)
def test_other_answers_are_not_stale(received: float, age: float, body: ResponseBody) -> None:
    assert stale_failure(seen_at_100().watch, cached(received, age, body)) is None


def test_answers_from_before_the_watch_are_stale() -> None:
    story = Story()
    assert poll(story, 5, 60) is Cause.STALE
    assert poll(story, 5, 5) is Cause.STALE
    assert poll(story, 6, 5) is None
    assert story.entries[-1].at == moment(1)


def test_answers_from_before_the_watch_was_resumed_are_stale() -> None:
    story = seen_at_100()
    story.pause(105)
    story.resume(200)
    assert poll(story, 205, 20) is Cause.STALE
    assert poll(story, 206, 5) is None
    assert story.entries[-1].at == moment(201)


def test_a_cache_that_hides_an_outage_leaves_a_gap() -> None:
    story = seen_at_100()
    for at in (110, 114, 122, 130, 138, 146, 154):
        assert poll(story, at, at - SEEN) is Cause.STALE
    assert poll(story, 160, 0, FURTHER) is None
    (gap,) = story.gaps
    assert (gap.from_, gap.to) == (moment(SEEN), moment(160))
    assert (gap.cause, gap.attempts, gap.http_status) == (Cause.STALE, 7, 200)


def test_an_answer_given_before_the_gap_began_to_count_ends_no_gap() -> None:
    story = seen_at_100()
    assert poll(story, GAP_AT + 20, 20) is None
    assert story.gaps == []
    assert story.watch.open == Interval(moment(GAP_AT), moment(GAP_AT), 3)


def test_a_gap_ends_when_the_answer_was_given() -> None:
    story = seen_at_100()
    assert poll(story, GAP_AT + 20, 15) is None
    (gap,) = story.gaps
    assert (gap.from_, gap.to) == (moment(SEEN), moment(GAP_AT + 5))
    assert gap.unpolled_seconds == GAP_AT + 5 - 110
    assert story.entries[-1].at == moment(GAP_AT + 5)


def test_a_stale_answer_interrupts_a_row_of_404s() -> None:
    story = seen_at_100()
    story.missing(110)
    story.missing(600)
    assert poll(story, 900, 850) is Cause.STALE
    story.missing(1020)
    assert story.watch.state is WatchState.WATCHING


def test_a_gone_group_comes_back_as_of_when_the_answer_was_given() -> None:
    story = seen_at_100()
    for at in (110, 600, 1020):
        story.missing(at)
    assert story.watch.state is WatchState.GONE
    assert poll(story, 1100, 90) is Cause.STALE
    assert story.watch.state is WatchState.GONE
    assert poll(story, 1100, 50) is None
    assert [entry.at for entry in story.entries[-2:]] == [moment(1050)] * 2
    assert story.actions[-1] is Action.RESUMED


def test_a_group_retires_by_when_it_was_seen() -> None:
    story = Story(RULES)
    story.answer(0, SETTLED)
    assert poll(story, 7230, 60, SETTLED) is None
    assert story.watch.state is WatchState.WATCHING
    assert poll(story, 7270, 60, SETTLED) is None
    assert (story.watch.state, story.entries[-1].at) == (WatchState.RETIRED, moment(7210))


def test_a_clock_set_back_does_not_stop_recording_through_a_cache() -> None:
    story = Story(NEVER_RETIRES)
    story.answer(5000)
    assert poll(story, 1400, 5, FURTHER) is None
    assert story.statuses[-1].anomalies == ("clock_regressed",)
    assert poll(story, 1410, 5, FURTHER) is None
    assert story.watch.open == Interval(moment(1405), moment(1405), 2)
