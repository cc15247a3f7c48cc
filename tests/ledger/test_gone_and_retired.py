"""When the recorder itself stops watching a group, and when it resumes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from recorder.ledger.entries import Action, Gap, Interval, Kind, WatchChange
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.response_body import ResponseBody
from tests.support import chain_oracle as oracle
from tests.support.bodies import BLOCKED, EMPTY, FURTHER, RUNNING, SETTLED, UNCLEAR, body_of, moment
from tests.support.stories import GONE_AFTER, NEVER_RETIRES, RETIRE_AFTER, RULES, Story

W, S, G = Kind.WATCH, Kind.STATUS, Kind.GAP


def _missing(story: Story, *seconds: float) -> None:
    """Receive 404s at these seconds, each to a poll made when it was due."""
    for asked, retry in zip(seconds, [*seconds[1:], None], strict=True):
        assert story.watch.state == "watching"
        story.missing(asked, retry=retry)


def test_gone_after_enough_time_and_enough_polls() -> None:
    story = Story()
    story.answer(0)
    _missing(story, 10, 500, 10 + GONE_AFTER)
    assert story.watch.state == "gone"
    assert story.kinds == [W, S, G, W]
    gap, gone = story.entries[-2:]
    assert gone.content == WatchChange(Action.GONE, "recorder", None)
    assert gap.at == gone.at == moment(10 + GONE_AFTER)
    assert isinstance(gap.content, Gap)
    assert (gap.content.from_, gap.content.to) == (moment(0), moment(910))
    assert (gap.content.cause, gap.content.attempts, gap.content.http_status) == (Cause.NOT_FOUND, 3, 404)


def test_lateness_of_the_last_poll_before_gone_counts_once() -> None:
    story = Story()
    story.missing(0, retry=10)
    story.missing(10, retry=905)
    story.fail(910, Cause.NOT_FOUND, ended=912, http_status=404)
    assert (story.gaps[0].to, story.gaps[0].unpolled_seconds) == (moment(912), 5)


def test_gone_group_that_was_never_seen() -> None:
    story = Story()
    _missing(story, 0, 10, GONE_AFTER)
    assert story.kinds == [W, G, W]
    assert story.gaps[0].from_ == moment(0)


def test_gone_within_the_grace_writes_no_gap() -> None:
    story = Story(replace(RULES, gone_after=timedelta(seconds=20)))
    story.answer(0)
    _missing(story, 10, 20, 30)
    assert story.kinds == [W, S, W]
    assert story.entries[-1].previous == Interval(moment(0), moment(0), 1)


def test_not_gone_before_its_time() -> None:
    story = Story()
    _missing(story, 0, 10, 20, 30, GONE_AFTER - 0.000001)
    assert story.watch.state == "watching"


def test_not_gone_by_two_polls() -> None:
    story = Story()
    _missing(story, 0, 10 * GONE_AFTER)
    assert story.watch.state == "watching"
    story.missing(10 * GONE_AFTER + 1)
    assert story.watch.state == "gone"


def test_410_counts_like_404() -> None:
    story = Story()
    _missing(story, 0, 10)
    story.fail(GONE_AFTER, Cause.NOT_FOUND, http_status=410, detail="gone")
    assert story.watch.state == "gone"


@pytest.mark.parametrize(
    "cause", [cause for cause in Cause if cause not in {Cause.NOT_FOUND, Cause.NOT_POLLED}]
)
def test_any_other_failure_in_between_resets_the_count(cause: Cause) -> None:
    story = Story()
    _missing(story, 0, 10, 20)
    story.fail(30, cause)
    _missing(story, 40, 50, 39 + GONE_AFTER)
    assert story.watch.state == "watching"
    story.missing(40 + GONE_AFTER)
    assert story.watch.state == "gone"


def test_polls_before_another_failure_do_not_count() -> None:
    story = Story()
    _missing(story, 0, 10)
    story.fail(20, Cause.CLIENT_ERROR, http_status=422)
    _missing(story, 30, 30 + GONE_AFTER)
    assert story.watch.state == "watching"


def test_response_in_between_resets_the_count() -> None:
    story = Story()
    _missing(story, 0, 10, 20)
    story.answer(25)
    _missing(story, 35, 45, 34 + GONE_AFTER)
    assert story.watch.state == "watching"


def test_422_never_makes_a_group_gone() -> None:
    story = Story()
    for asked in range(0, 10 * GONE_AFTER, 300):
        story.fail(asked, Cause.CLIENT_ERROR, http_status=422)
    assert story.kinds == [W]


def test_pause_in_between_resets_the_count() -> None:
    story = Story()
    _missing(story, 0, 10, 20)
    story.pause(30)
    story.resume(2000)
    _missing(story, 2000, 2010, 1999 + GONE_AFTER)
    assert story.watch.state == "watching"


def _gone() -> Story:
    story = Story()
    story.answer(0)
    _missing(story, 10, 500, 910)
    return story


def test_gone_group_stays_gone_while_it_is_missing() -> None:
    story = _gone()
    for asked in (1210, 1510, 100_000):
        assert story.missing(asked) == ()
        assert story.fail(asked + 1) == ()
    assert (story.watch.state, story.watch.due_at, story.watch.gap_at) == ("gone", None, None)


@pytest.mark.parametrize("body", [RUNNING, FURTHER])
def test_gone_group_that_responds_is_resumed(body: ResponseBody) -> None:
    story = _gone()
    story.missing(1210)
    resumed, status = story.answer(5000, body)
    assert resumed.content == WatchChange(Action.RESUMED, "recorder", None)
    assert (resumed.at, resumed.previous) == (moment(5000), None)
    assert (status.kind, status.at, status.previous) == (S, moment(5000), None)
    assert story.watch.state == "watching"
    assert len(story.gaps) == 1


def test_group_can_be_gone_again() -> None:
    story = _gone()
    story.answer(5000)
    _missing(story, 5010, 5020, 5009 + GONE_AFTER)
    assert story.watch.state == "watching"
    story.missing(5010 + GONE_AFTER)
    assert story.actions == [Action.STARTED, Action.GONE, Action.RESUMED, Action.GONE]


@pytest.mark.parametrize("action", [Action.PAUSED, Action.STOPPED])
def test_gone_group_can_be_ceased(action: Action) -> None:
    story = _gone()
    (entry,) = story.cease(action, 2000)
    assert (entry.kind, entry.previous) == (W, None)


def test_gone_group_can_be_resumed_by_a_user() -> None:
    story = _gone()
    story.resume(2000)
    assert (story.watch.state, story.watch.due_at) == ("watching", moment(2000))
    _missing(story, 2000, 2010)


# Retired


def _quiet(story: Story, body: ResponseBody, since: float, until: float) -> None:
    second = since
    while second < until:
        story.answer(second, body)
        second += 30
    story.answer(until, body)


def test_settled_and_quiet_group_is_retired() -> None:
    story = Story()
    _quiet(story, SETTLED, 0, RETIRE_AFTER)
    assert story.kinds == [W, S, W]
    retired = story.entries[-1]
    assert retired.content == WatchChange(Action.RETIRED, "recorder", None)
    assert (retired.at, story.watch.state) == (moment(RETIRE_AFTER), "retired")
    assert retired.previous == Interval(moment(RETIRE_AFTER), moment(RETIRE_AFTER), RETIRE_AFTER // 30 + 1)
    assert (story.watch.due_at, story.watch.gap_at) == (None, None)


def test_not_retired_before_its_time() -> None:
    story = Story()
    _quiet(story, SETTLED, 0, RETIRE_AFTER - 0.000001)
    assert story.watch.state == "watching"


@pytest.mark.parametrize(
    "body", [EMPTY, BLOCKED, RUNNING, UNCLEAR], ids=["empty", "blocked", "active", "unclear"]
)
def test_only_settled_groups_retire(body: ResponseBody) -> None:
    story = Story()
    _quiet(story, body, 0, 2 * RETIRE_AFTER)
    assert story.kinds == [W, S]


def test_never_retired_if_disabled() -> None:
    story = Story(NEVER_RETIRES)
    _quiet(story, SETTLED, 0, 10 * RETIRE_AFTER)
    assert story.watch.state == "watching"


def test_change_is_not_quiet() -> None:
    story = Story()
    _quiet(story, SETTLED, 0, RETIRE_AFTER - 60)
    more = body_of(
        num_task_runs=3, task_run_status_counts={"completed": 3}, is_active=False, status_message="x"
    )
    _quiet(story, more, RETIRE_AFTER - 30, 2 * RETIRE_AFTER - 31)
    assert story.watch.state == "watching"
    story.answer(2 * RETIRE_AFTER - 30, more)
    assert story.watch.state == "retired"


def test_resumed_group_does_not_retire_immediately() -> None:
    story = Story()
    _quiet(story, SETTLED, 0, RETIRE_AFTER)
    back = 10 * RETIRE_AFTER
    story.resume(back)
    _quiet(story, SETTLED, back, back + RETIRE_AFTER - 1)
    assert story.watch.state == "watching"
    story.answer(back + RETIRE_AFTER, SETTLED)
    assert story.watch.state == "retired"


def test_gone_group_that_responds_does_not_retire_immediately() -> None:
    story = Story()
    story.answer(0, SETTLED)
    _missing(story, 10, 500, 910)
    story.answer(10 * RETIRE_AFTER, SETTLED)
    assert story.watch.state == "watching"


def test_retired_after_a_gap_writes_gap_status_and_retired() -> None:
    story = Story()
    story.answer(0, SETTLED)
    entries = story.answer(RETIRE_AFTER, SETTLED)
    assert [entry.kind for entry in entries] == [G, S, W]
    assert entries[-1].previous == Interval(moment(RETIRE_AFTER), moment(RETIRE_AFTER), 1)
    oracle.assert_chained(story.entries)
