"""Gaps around pauses and stops; there are none while a group is not watched."""

from __future__ import annotations

import pytest

from recorder.ledger.entries import Action, Gap, Interval
from recorder.ledger.poll_outcome import Cause
from tests.support.bodies import moment
from tests.support.stories import GAP_AT, SEEN, seen_at_100


@pytest.mark.parametrize("action", [Action.PAUSED, Action.STOPPED])
def test_ceasing_writes_an_open_gap_first(action: Action) -> None:
    story = seen_at_100()
    story.fail(110, Cause.SERVER_ERROR, http_status=500, detail="oops", retry=139)
    gap, watch = story.cease(action, 141)
    assert (gap.kind, watch.kind) == ("gap", "watch")
    assert gap.at == watch.at == moment(141)
    assert gap.content == Gap(moment(SEEN), moment(141), Cause.SERVER_ERROR, 1, 2, 500, "oops")
    assert gap.previous == Interval(moment(SEEN), moment(SEEN), 2)
    assert watch.previous is None


@pytest.mark.parametrize("action", [Action.PAUSED, Action.STOPPED])
@pytest.mark.parametrize("at", [SEEN, 115, GAP_AT])
def test_ceasing_by_gap_at_writes_no_gap(action: Action, at: float) -> None:
    story = seen_at_100()
    story.fail(110)
    (watch,) = story.cease(action, at)
    assert watch.kind == "watch"
    assert watch.previous == Interval(moment(SEEN), moment(SEEN), 2)


def test_ceasing_while_the_recorder_is_down_is_a_gap_for_not_polling() -> None:
    story = seen_at_100()
    story.pause(1000)
    assert story.gaps == [Gap(moment(SEEN), moment(1000), Cause.NOT_POLLED, 0, 890, None, None)]


def test_no_gap_while_not_watched() -> None:
    story = seen_at_100()
    story.pause(110)
    story.cease(Action.STOPPED, 5000)
    story.resume(9000)
    story.answer(9030)
    assert story.gaps == []
    assert story.kinds == ["watch", "status", "watch", "watch", "watch", "status"]


def test_failures_before_a_pause_do_not_count_after_it() -> None:
    story = seen_at_100()
    story.fail(110)
    story.pause(115)
    story.resume(1000)
    story.fail(1000, Cause.TIMEOUT, retry=1031)
    story.answer(1031)
    assert (story.gaps[0].cause, story.gaps[0].attempts) == (Cause.TIMEOUT, 1)


def test_a_resumed_group_is_due_immediately_and_sight_is_lost_from_then() -> None:
    story = seen_at_100()
    story.pause(110)
    story.resume(1000)
    assert (story.watch.due_at, story.watch.gap_at) == (moment(1000), moment(1030))
    story.answer(1031, asked=1030)
    assert story.gaps == [Gap(moment(1000), moment(1031), Cause.NOT_POLLED, 0, 30, None, None)]


def test_gap_after_resumed_closes_no_interval() -> None:
    story = seen_at_100()
    story.pause(110)
    story.resume(1000)
    gap, status = story.answer(1031)
    assert (gap.previous, status.previous) == (None, None)


def test_pause_during_a_gap_after_resumed() -> None:
    story = seen_at_100()
    story.pause(110)
    story.resume(1000)
    story.pause(1031)
    assert (story.gaps[0].from_, story.gaps[0].to) == (moment(1000), moment(1031))
