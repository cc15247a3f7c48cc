"""The entries written by each transition, except for gaps, which have their own module."""

from __future__ import annotations

import pytest

from recorder.ledger.entries import Action, Gap, Interval, Kind, StatusContent, WatchChange
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.response_body import ResponseBody
from tests.support import chain_oracle as oracle
from tests.support.bodies import FURTHER, GROUP, RUNNING, body_of, moment
from tests.support.stories import RULES, Story

W, S, G = Kind.WATCH, Kind.STATUS, Kind.GAP


def test_ledger_begins_with_started() -> None:
    story = Story()
    (entry,) = story.entries
    assert (entry.taskgroup_id, entry.seq, entry.at, entry.previous) == (GROUP, 1, moment(0), None)
    assert entry.content == WatchChange(Action.STARTED, "ann", None)
    assert (story.watch.state, story.watch.due_at) == ("watching", moment(0))
    assert story.watch.gap_at == moment(0) + RULES.gap_window


# Intervals


def test_first_response_is_written() -> None:
    story = Story()
    (entry,) = story.answer(2, RUNNING, asked=1)
    assert isinstance(entry.content, StatusContent)
    assert (entry.seq, entry.at, entry.content.body) == (2, moment(2), RUNNING)
    assert story.watch.open == Interval(moment(1), moment(2), 1)


def test_unchanged_response_extends_the_interval_and_writes_nothing() -> None:
    story = Story()
    story.answer(2, RUNNING, asked=1)
    head = story.watch.head
    assert story.answer(12, RUNNING, asked=11) == ()
    assert story.answer(23, RUNNING, asked=21.5) == ()
    assert story.watch.open == Interval(moment(21.5), moment(23), 3)
    assert story.watch.head == head


def test_changed_response_is_written_and_closes_the_open_interval() -> None:
    story = Story()
    story.answer(2, RUNNING)
    story.answer(12, RUNNING, asked=11)
    (entry,) = story.answer(22, FURTHER, asked=21)
    assert entry.previous == Interval(moment(11), moment(12), 2)
    assert story.watch.open == Interval(moment(21), moment(22), 1)


def test_change_back_is_a_change() -> None:
    story = Story()
    for second, body in enumerate([RUNNING, FURTHER, RUNNING]):
        story.answer(second, body)
    assert story.kinds == [W, S, S, S]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (body_of(num_task_runs=1), body_of(num_task_runs=True)),
        (body_of(status_message=None), body_of(status_message="")),
        (body_of(task_run_status_counts={}), body_of(task_run_status_counts={"failed": 0})),
        (body_of(task_run_status_counts={"failed": 0}), body_of(task_run_status_counts={"failed": None})),
        (body_of(modified_at="2026-11-24T11:00:00Z"), body_of(modified_at="2026-11-24T11:00:00.0Z")),
        (body_of(), body_of(unknown=1)),
    ],
)
def test_the_smallest_difference_is_a_change(one: ResponseBody, two: ResponseBody) -> None:
    story = Story()
    story.answer(0, one)
    assert len(story.answer(10, two)) == 1


def test_failures_within_the_grace_do_not_interrupt_an_interval() -> None:
    story = Story()
    story.answer(0)
    story.fail(10)
    assert story.answer(15) == ()
    assert story.watch.open is not None
    assert story.watch.open.polls == 2


@pytest.mark.parametrize("action", [Action.PAUSED, Action.STOPPED])
def test_first_response_after_a_watch_entry_is_written_even_if_unchanged(action: Action) -> None:
    story = Story()
    story.answer(0)
    story.cease(action, 5)
    story.resume(20)
    (entry,) = story.answer(21)
    assert (entry.kind, entry.previous) == (S, None)
    assert story.watch.open == Interval(moment(21), moment(21), 1)


# Watch entries


@pytest.mark.parametrize(("action", "state"), [(Action.PAUSED, "paused"), (Action.STOPPED, "stopped")])
def test_ceasing(action: Action, state: str) -> None:
    story = Story()
    story.answer(0)
    (entry,) = story.cease(action, 5, note="why")
    assert entry.content == WatchChange(action, "ann", "why")
    assert (entry.at, entry.previous) == (moment(5), Interval(moment(0), moment(0), 1))
    watch = story.watch
    assert watch.state == state
    assert (watch.due_at, watch.gap_at, watch.poll_due_at, watch.open) == (None, None, None, None)


def test_ceasing_before_the_first_response() -> None:
    story = Story()
    (entry,) = story.pause(5)
    assert (entry.kind, entry.previous) == (W, None)


def test_resuming() -> None:
    story = Story()
    story.pause(5)
    (entry,) = story.resume(20)
    assert entry.content == WatchChange(Action.RESUMED, "ann", None)
    assert (story.watch.state, story.watch.due_at) == ("watching", moment(20))


def test_resuming_keeps_the_time_of_enrolment() -> None:
    story = Story()
    story.cease(Action.STOPPED, 5)
    story.resume(20)
    assert story.watch.enrolled_at == moment(0)


def test_paused_group_can_be_stopped() -> None:
    story = Story()
    story.answer(0)
    story.pause(5)
    (entry,) = story.cease(Action.STOPPED, 500)
    assert (entry.previous, story.watch.state) == (None, "stopped")


# The clock


def test_end_of_an_interval_never_moves_back() -> None:
    story = Story()
    story.answer(20, RUNNING, asked=19)
    assert story.answer(15, RUNNING, asked=14) == ()
    assert story.watch.open == Interval(moment(19), moment(20), 2)
    story.answer(21, RUNNING, asked=20.5)
    assert story.watch.open == Interval(moment(20.5), moment(21), 3)


def test_order_of_entries_does_not_depend_on_the_clock() -> None:
    story = Story()
    story.answer(20, RUNNING)
    (entry,) = story.answer(-3600, FURTHER)
    assert (entry.seq, entry.at) == (3, moment(-3600))
    assert entry.previous == Interval(moment(20), moment(20), 1)
    assert story.watch.open == Interval(moment(-3600), moment(-3600), 1)
    oracle.assert_chained(story.entries)


def test_clock_back_writes_no_gap() -> None:
    story = Story()
    story.answer(100)
    story.fail(-3590)
    assert story.answer(-3580) == ()


def test_clock_forward_is_a_gap() -> None:
    story = Story()
    story.answer(0)
    story.answer(86_400)
    assert story.gaps == [Gap(moment(0), moment(86_400), Cause.NOT_POLLED, 0, 86_390, None, None)]


def test_durations_are_not_negative_when_the_clock_steps_back_in_a_gap() -> None:
    story = Story()
    story.answer(20)
    story.answer(-1000)  # the clock steps back; the next poll is due at -990 of the new clock
    story.fail(-985, retry=-955)
    story.answer(-959, asked=-970)
    (gap,) = story.gaps
    assert gap.to is not None
    assert gap.from_ <= gap.to
    assert gap.unpolled_seconds == 5
