"""Quiet groups whose end may be near are polled more often, as long as there are polls to spare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.ledger.entries import Action, WatchChange
from recorder.ledger.poll_outcome import Observation
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.transitions import observe, start
from recorder.polling.eagerness import (
    FEWEST_OF_COHORT,
    WAIT_STEP,
    WORTH_SHARE,
    SparePolls,
    Work,
    eager_interval,
    work_of,
)
from recorder.polling.schedule import Intervals, plan
from tests.support.bodies import EMPTY, GROUP, NOON, SETTLED, counted, moment
from tests.support.store_samples import RULES

INTERVALS = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 30)))


def _seconds(work: Work, now: float, cohort: Sequence[float] = ()) -> float | None:
    eager = eager_interval(work, moment(now), INTERVALS, cohort)
    return None if eager is None else eager.total_seconds()


def _work(body: ResponseBody) -> Work | None:
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), NOON, RULES).watch
    return work_of(observe(watch, Observation(NOON, NOON, body), RULES).watch, body)


def test_a_group_is_approached_as_its_expected_end_comes_nearer() -> None:
    # 90 runs in 900 s: the last 10 take another 100 s.
    work = Work(NOON, moment(900), 90, 10)
    assert work.expected_end == moment(1000)
    assert [_seconds(work, now) for now in (900, 920, 960, 1000)] == [25, 20, 10, 10]


def test_a_group_that_is_late_is_polled_ever_less_often() -> None:
    work = Work(NOON, moment(900), 99, 1)
    assert [_seconds(work, 900 + quiet) for quiet in (60, 240, 720)] == [10, 20, 60]


def test_one_run_is_polled_by_how_long_it_has_taken() -> None:
    assert [_seconds(Work(NOON, NOON, 0, 1), now) for now in (0, 120, 240, 3600)] == [10, 10, 20, 300]


def test_several_runs_of_which_none_has_finished_say_nothing() -> None:
    assert _seconds(Work(NOON, NOON, 0, 10), 500) is None


@pytest.mark.parametrize("work", [Work(NOON, NOON, 0, 10), Work(NOON, NOON, 0, 1)], ids=["many", "one"])
def test_the_cohort_says_when_a_group_may_end(work: Work) -> None:
    cohort = [1000 + number / 2 for number in range(100)]
    assert [_seconds(work, now, cohort) for now in (100, 930, 988, 1000)] == [60, 60, 15.625, 10]


def test_ends_that_can_come_at_any_time_are_looked_for_evenly() -> None:
    # Of 3,000 that took longer, one ends each second: after 30 s the chance times the wait is 0.3 s.
    cohort = [float(seconds) for seconds in range(9000)]
    found = _seconds(Work(NOON, NOON, 0, 10), 6000, cohort)
    assert found is not None and 30 <= found <= 30 * WAIT_STEP


def test_the_pace_may_show_an_end_that_comes_before_that_of_the_cohort() -> None:
    cohort = [3600.0] * FEWEST_OF_COHORT
    assert _seconds(Work(NOON, moment(900), 90, 10), 960, cohort) == 10


def test_too_small_a_cohort_says_nothing() -> None:
    cohort = [100.0] * 50 + [3600.0] * (FEWEST_OF_COHORT - 1)
    assert _seconds(Work(NOON, NOON, 0, 10), 200, cohort) is None
    assert _seconds(Work(NOON, NOON, 0, 1), 240, cohort) == 20


@given(
    st.integers(0, 500),
    st.integers(1, 500),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.lists(st.floats(0, 2e6), max_size=40).map(sorted),
)
def test_it_is_never_polled_more_often_than_a_group_that_changes(
    finished: int, remaining: int, changed: float, quiet: float, cohort: list[float]
) -> None:
    work = Work(NOON, moment(changed), finished, remaining)
    eager = eager_interval(work, moment(changed + quiet), INTERVALS, cohort)
    assert eager is None or eager >= INTERVALS.poll_interval


@given(
    st.lists(st.floats(0, 500), min_size=FEWEST_OF_COHORT, max_size=60).map(sorted),
    st.floats(0, 500),
    st.floats(1, 20),
)
def test_a_wait_is_the_shortest_that_is_worth_a_poll(
    cohort: list[float], elapsed: float, shortest: float
) -> None:
    intervals = replace(INTERVALS, poll_interval=timedelta(seconds=shortest))
    now = moment(elapsed)
    found = eager_interval(Work(NOON, NOON, 0, 2), now, intervals, cohort)
    begun = (now - NOON).total_seconds()
    longer = [seconds for seconds in cohort if seconds > begun]
    if len(longer) < FEWEST_OF_COHORT:
        assert found is None
        return

    def gain(wait: timedelta) -> float:
        ended = sum(1 for seconds in longer if seconds <= begun + wait.total_seconds())
        return ended / len(longer) * wait.total_seconds()

    assert found is not None and intervals.poll_interval <= found <= intervals.max_interval
    worth = WORTH_SHARE * shortest
    assert found == intervals.max_interval or gain(found) >= worth * (1 - 1e-6)
    assert (
        found == intervals.poll_interval
        or gain(found / WAIT_STEP) <= worth * (1 + 1e-6)
        or (found == intervals.max_interval)
    )


def test_what_is_known_of_a_groups_work() -> None:
    work = _work(counted(10, active=True, completed=7, running=3))
    assert work is not None and (work.finished, work.remaining, work.changed_at) == (7, 3, NOON)
    assert work.began_at <= NOON


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(SETTLED, id="settled"),
        pytest.param(EMPTY, id="empty"),
    ],
)
def test_nothing_says_that_the_end_is_near(body: ResponseBody) -> None:
    assert _work(body) is None


def test_the_interval_of_a_plan_is_bounded() -> None:
    body = counted(10, active=True, completed=7, running=3)
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), NOON, RULES).watch
    seen = observe(watch, Observation(NOON, NOON, body), RULES).watch
    planned = plan(seen, NOON, INTERVALS, chance=0, at_most=timedelta(seconds=4))
    assert (planned.next_poll_at, planned.interval_seconds) == (moment(4), 4)
    assert planned.watch.gap_at == moment(4 + 30)
    usual = plan(seen, NOON, INTERVALS, chance=0, at_most=timedelta(hours=1))
    assert usual == plan(seen, NOON, INTERVALS, chance=0)


def test_there_are_no_spare_polls_before_a_survey() -> None:
    assert not SparePolls().take(0.1, 1000.0)


def test_spare_polls_are_saved_up_for_a_while() -> None:
    spare = SparePolls()
    spare.refresh(0.5)
    assert spare.take(5.0, 1000.0)
    assert not spare.take(0.5, 1000.0)
    assert spare.take(0.5, 1001.0)
    assert not spare.take(0.5, 1001.5)


@given(st.floats(0.1, 50), st.lists(st.floats(0, 2), max_size=300))
def test_no_more_polls_are_taken_than_there_are_to_spare(per_second: float, waits: list[float]) -> None:
    spare, now, taken = SparePolls(), 0.0, 0
    spare.refresh(per_second)
    for wait in waits:
        now += wait
        taken += spare.take(1.0, now)
    assert taken <= per_second * (now + 10) + 1e-6
