"""Steps of the wall clock next to a steady clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.ledger.entries import Action, Gap, WatchChange
from recorder.ledger.poll_outcome import Observation
from recorder.ledger.transitions import Rules, observe, start
from recorder.ledger.watch import Watch
from recorder.polling.clock_steps import ClockStepCorrector, ClockWatch
from recorder.polling.schedule import Intervals, plan
from tests.support.bodies import GROUP, RUNNING

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULES = Rules(timedelta(seconds=30), timedelta(seconds=900), None)
INTERVALS = Intervals(timedelta(seconds=10), timedelta(seconds=300), timedelta(seconds=30))
HOUR = timedelta(hours=1)


class Clocks:
    """Both clocks of a machine: `true` seconds pass on both, `offset` moves only the wall clock."""

    def __init__(self) -> None:
        self.true = 0.0
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.true) + self.offset

    def steady(self) -> float:
        return self.true

    def both(self) -> tuple[datetime, float]:
        return self.now(), self.steady()


def _polled(clocks: Clocks, corrector: ClockStepCorrector, watch: Watch) -> tuple[Watch, list[Gap]]:
    seen = Observation(clocks.now(), clocks.now(), RUNNING)
    step = observe(corrector.corrected(watch, clocks.both()), seen, RULES)
    planned = plan(step.watch, clocks.now(), INTERVALS, chance=0).watch
    corrector.remember(planned, clocks.both())
    return planned, [entry.content for entry in step.entries if isinstance(entry.content, Gap)]


@pytest.mark.parametrize("offset", [HOUR, -HOUR, timedelta(seconds=45), timedelta(days=-400)])
def test_a_step_of_the_clock_is_no_gap(offset: timedelta) -> None:
    clocks = Clocks()
    corrector = ClockStepCorrector()
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), clocks.now(), RULES).watch
    watch, _ = _polled(clocks, corrector, watch)
    clocks.true += 10
    clocks.offset = offset
    watch, gaps = _polled(clocks, corrector, watch)
    assert gaps == []
    assert watch.poll_due_at is not None
    assert timedelta(0) < watch.poll_due_at - clocks.now() <= timedelta(seconds=15)


@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_time_without_polls_around_a_step_is_still_a_gap(offset: timedelta) -> None:
    clocks = Clocks()
    corrector = ClockStepCorrector()
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), clocks.now(), RULES).watch
    watch, _ = _polled(clocks, corrector, watch)
    clocks.offset = offset
    clocks.true += 45
    _, gaps = _polled(clocks, corrector, watch)
    assert len(gaps) == 1
    assert gaps[0].unpolled_seconds == 35


def test_a_machine_that_slept_has_a_gap() -> None:
    clocks = Clocks()
    corrector = ClockStepCorrector()
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), clocks.now(), RULES).watch
    watch, _ = _polled(clocks, corrector, watch)
    clocks.true += 3600
    assert len(_polled(clocks, corrector, watch)[1]) == 1


def test_times_set_by_another_recorder_are_not_corrected() -> None:
    clocks = Clocks()
    corrector = ClockStepCorrector()
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), clocks.now(), RULES).watch
    watch, _ = _polled(clocks, corrector, watch)
    other, _ = _polled(clocks, ClockStepCorrector(), watch)
    clocks.true += 5
    other, _ = _polled(clocks, ClockStepCorrector(), other)
    clocks.offset = HOUR
    assert corrector.corrected(other, clocks.both()) == other


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-5000, 5000)), max_size=20))
def test_the_size_of_steps_is_measured(moves: list[tuple[float, float]]) -> None:
    clocks = Clocks()
    watchdog = ClockWatch(clocks.now, clocks.steady)
    for passed, set_by in moves:
        clocks.true += passed
        clocks.offset += timedelta(seconds=set_by)
        step = watchdog.step()
        if abs(set_by) > 1.001:
            assert step is not None and abs(step.total_seconds() - set_by) < 0.001
        elif abs(set_by) < 0.999:
            assert step is None
