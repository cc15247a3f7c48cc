"""Planned polls are spread so that no more fall due together than can be made."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, update

from recorder.ledger.entries import Action, WatchChange
from recorder.ledger.transitions import start
from recorder.polling.bookings import SLOTS, Bookings, Survey, slot_length
from recorder.polling.schedule import Intervals, Plan, postponed
from recorder.store.tables import watches
from recorder.store.transactions import reading, writing
from recorder.store.workload import planned_polls
from tests.support.bodies import GROUP, NOON, moment
from tests.support.store_samples import RULES, at, enrol

INTERVALS = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 30)))
SLOT = 10.0


def _bookings(planned: dict[int, int], per_second: float) -> Bookings:
    bookings = Bookings(INTERVALS)
    bookings.refresh(Survey(NOON, planned, per_second, 0.0))
    return bookings


def test_without_a_survey_every_time_has_room() -> None:
    assert Bookings(INTERVALS).place(moment(15)) == moment(15)


def test_a_poll_keeps_its_time_while_its_slot_has_room() -> None:
    bookings = _bookings({1: 17}, 2.0)
    assert bookings.place(moment(15)) == moment(15)
    assert bookings.place(moment(15)) == moment(15)
    assert bookings.place(moment(15)) == moment(15)


def test_a_poll_moves_to_the_next_slot_with_room() -> None:
    bookings = _bookings({1: 20, 2: 20, 3: 10}, 2.0)
    # Half of the fourth slot is taken.
    assert bookings.place(moment(15)) == moment(35)


def test_overdue_polls_take_the_room_of_later_slots() -> None:
    bookings = _bookings({0: 35}, 2.0)
    assert bookings.place(moment(1)) == moment(10 + 7.5)


def test_a_clock_that_is_set_back_moves_no_poll() -> None:
    bookings = _bookings({0: 20}, 2.0)
    assert bookings.place(moment(-7200)) == moment(-7200)


def test_a_slot_is_longer_if_few_polls_are_possible() -> None:
    assert slot_length(INTERVALS, 20) == timedelta(seconds=SLOT)
    assert slot_length(INTERVALS, 0.1) == timedelta(seconds=30)


@given(
    st.dictionaries(st.integers(0, 30), st.integers(0, 50)),
    st.lists(st.floats(0, 300), max_size=200),
    st.floats(0.05, 50),
)
def test_no_slot_gets_more_polls_than_can_be_made_in_it(
    planned: dict[int, int], wanted: list[float], per_second: float
) -> None:
    bookings, length = _bookings(planned, per_second), slot_length(INTERVALS, per_second)
    placed = [bookings.place(moment(seconds)) for seconds in wanted]
    assert all(at >= moment(seconds) for at, seconds in zip(placed, wanted, strict=True))
    room, left = per_second * length.total_seconds(), 0.0
    counts = Counter(int((at - NOON) / length) for at in placed)
    for slot in range(SLOTS):
        left += planned.get(slot, 0)
        made = min(left, room)
        left -= made
        assert made + counts[slot] <= room + 1e-6 or not counts[slot]


def test_a_postponed_group_is_not_late() -> None:
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), NOON, RULES).watch
    plan = Plan(watch, watch.due_at, 10.0)
    later = postponed(plan, moment(25), INTERVALS)
    assert later.next_poll_at == later.watch.due_at == later.watch.poll_due_at == moment(25)
    assert later.watch.gap_at == moment(25 + 30)
    assert later.interval_seconds == 10
    assert postponed(later, moment(20), INTERVALS) == later


def test_planned_polls_are_counted_by_slot(engine: Engine) -> None:
    for number, seconds in enumerate((-100, -1, 3, 9.5, 10, 29.9, 30, 1000)):
        enrol(engine, f"tgrp_{number}")
        with writing(engine) as connection:
            mine = watches.c.taskgroup_id == f"tgrp_{number}"
            connection.execute(update(watches).where(mine).values(next_poll_at=at(seconds)))
    with reading(engine) as connection:
        assert planned_polls(connection, at(0), timedelta(seconds=10), 50) == {0: 4, 1: 1, 2: 1, 3: 1}
