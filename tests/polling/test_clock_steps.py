"""Steps of the wall clock are detected with a monotonic clock, and corrected."""

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
INTERVALS = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 30)))
HOUR = timedelta(hours=1)


class Clocks:
    """A machine's two clocks: `elapsed` seconds pass on both, `offset` only moves the wall clock."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.elapsed) + self.offset

    def monotonic(self) -> float:
        return self.elapsed

    def both(self) -> tuple[datetime, float]:
        return self.now(), self.monotonic()


def _polled(clocks: Clocks, corrector: ClockStepCorrector, watch: Watch) -> tuple[Watch, list[Gap]]:
    seen = Observation(clocks.now(), clocks.now(), RUNNING)
    step = observe(corrector.corrected(watch, clocks.both()), seen, RULES)
    planned = plan(step.watch, clocks.now(), INTERVALS, chance=0).watch
    corrector.remember(planned, clocks.both())
    return planned, [entry.content for entry in step.entries if isinstance(entry.content, Gap)]


@pytest.mark.parametrize("offset", [HOUR, -HOUR, timedelta(seconds=45), timedelta(days=-400)])
def test_a_clock_step_is_not_a_gap(offset: timedelta) -> None:
    clocks = Clocks()
    corrector = ClockStepCorrector()
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), clocks.now(), RULES).watch
    watch, _ = _polled(clocks, corrector, watch)
    clocks.elapsed += 10
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
    clocks.elapsed += 45
    _, gaps = _polled(clocks, corrector, watch)
    assert len(gaps) == 1
    assert gaps[0].unpolled_seconds == 35


def test_a_suspended_machine_has_a_gap() -> None:
    clocks = Clocks()
    corrector = ClockStepCorrector()
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), clocks.now(), RULES).watch
    watch, _ = _polled(clocks, corrector, watch)
    clocks.elapsed += 3600
    assert len(_polled(clocks, corrector, watch)[1]) == 1


def test_times_set_by_another_recorder_are_not_corrected() -> None:
    clocks = Clocks()
    corrector = ClockStepCorrector()
    watch = start(GROUP, WatchChange(Action.STARTED, "ann", None), clocks.now(), RULES).watch
    watch, _ = _polled(clocks, corrector, watch)
    other, _ = _polled(clocks, ClockStepCorrector(), watch)
    clocks.elapsed += 5
    other, _ = _polled(clocks, ClockStepCorrector(), other)
    clocks.offset = HOUR
    assert corrector.corrected(other, clocks.both()) == other


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-5000, 5000)), max_size=20))
def test_step_sizes_are_measured(moves: list[tuple[float, float]]) -> None:
    clocks = Clocks()
    clock_watch = ClockWatch(clocks.now, clocks.monotonic)
    for seconds, moved_by in moves:
        clocks.elapsed += seconds
        clocks.offset += timedelta(seconds=moved_by)
        step = clock_watch.step()
        if abs(moved_by) > 1.001:
            assert step is not None and abs(step.total_seconds() - moved_by) < 0.001
        elif abs(moved_by) < 0.999:
            assert step is None
