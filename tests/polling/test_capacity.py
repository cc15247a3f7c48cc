"""How many polls a recorder can make, and the schedule that follows from it."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recorder.ledger.status_fields import Phase
from recorder.polling.capacity import CapacityMeter
from recorder.polling.poll_load import Period
from recorder.polling.schedule import Intervals, Quietness, interval_after, requests_per_second, stretch_of
from recorder.store.heartbeats import HEARTBEAT_SECONDS, PollLimit

INTERVALS = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 30)))
WINDOW = INTERVALS.gap_window.total_seconds()
WARM_UP = 300
END = 900


def _period(**members: object) -> Period:
    usual = {
        "seconds": 2.0,
        "polls": 0,
        "mostly_failed": False,
        "response_seconds": None,
        "waiting_seconds": None,
        "limit": None,
        "saturated": False,
        "cpu_share": 0.1,
    }
    return Period(**(usual | members))  # type: ignore[arg-type]


def _after(meter: CapacityMeter, rate: float, *periods: Period) -> tuple[float, PollLimit]:
    for period in periods:
        meter.update(period, rate)
    capacity = meter.capacity(rate)
    return capacity.per_second, capacity.limit


def test_the_rate_is_the_capacity_until_something_else_holds_polls_back() -> None:
    quick = _period(polls=40, response_seconds=0.1)
    assert _after(CapacityMeter(50, 200), 20.0, quick, quick) == (20.0, PollLimit.RATE)


def test_places_and_the_time_of_an_answer_limit_the_capacity() -> None:
    full = _period(polls=20, response_seconds=0.5, limit=PollLimit.CONCURRENCY, saturated=True)
    assert _after(CapacityMeter(5, 5), 20.0, full, full) == (10.0, PollLimit.CONCURRENCY)


def test_a_processor_that_is_busy_is_named() -> None:
    limit = PollLimit.CONCURRENCY
    full = _period(polls=20, response_seconds=0.5, limit=limit, saturated=True, cpu_share=0.97)
    assert _after(CapacityMeter(5, 5), 20.0, full, full) == (10.0, PollLimit.CPU)


def test_the_database_is_named_if_neither_places_nor_the_processor_are_used_up() -> None:
    starved = _period(polls=14, response_seconds=0.01, limit=PollLimit.MACHINE, saturated=True)
    assert _after(CapacityMeter(50, 50), 20.0, starved, starved) == (7.0, PollLimit.DATABASE)


def test_a_single_slow_period_tells_nothing() -> None:
    slow = _period(polls=2, response_seconds=2.0, limit=PollLimit.CONCURRENCY, saturated=True)
    assert _after(CapacityMeter(5, 5), 20.0, slow) == (20.0, PollLimit.RATE)


def test_a_capacity_that_was_low_rises_step_by_step() -> None:
    starved = _period(polls=14, response_seconds=0.01, limit=PollLimit.MACHINE, saturated=True)
    quiet = _period(polls=14, response_seconds=0.01)
    meter = CapacityMeter(50, 50)
    first, _ = _after(meter, 1000.0, starved, starved)
    second, _ = _after(meter, 1000.0, quiet)
    assert first < second < 2 * first
    assert _after(meter, 1000.0, *[quiet] * 40) == (1000.0, PollLimit.RATE)


def test_more_polls_run_at_once_while_answers_are_slow_and_the_rate_is_not_used_up() -> None:
    meter = CapacityMeter(50, 200)
    waiting = _period(waiting_seconds=6.0, limit=PollLimit.CONCURRENCY, saturated=True)
    meter.update(waiting, 20.0)
    assert meter.places == 150
    meter.update(_period(polls=40, response_seconds=0.1), 20.0)
    meter.update(_period(polls=40, response_seconds=0.1), 20.0)
    meter.update(_period(polls=40, response_seconds=0.1), 20.0)
    assert meter.places == 50


@pytest.mark.parametrize(("most", "failed", "places"), [(100, False, 100), (200, True, 50)])
def test_the_number_of_polls_at_once_is_bounded_and_not_raised_for_failures(
    most: int, failed: bool, places: int
) -> None:
    meter = CapacityMeter(50, most)
    meter.update(_period(polls=9, response_seconds=8.0, mostly_failed=failed), 20.0)
    assert meter.places == places


@dataclass
class Simulation:
    """Quiet groups, polled by the real schedule and capacity; every answer takes `answer_seconds`."""

    groups: int
    answer_seconds: float
    rate: float
    concurrency: int
    most_at_once: int
    now: float = 0.0
    gaps: list[float] = field(default_factory=list)
    polls: int = 0

    def run(self) -> None:
        """Run in steps of the time between two claims."""
        meter = CapacityMeter(self.concurrency, self.most_at_once)
        changed = [0.0] * self.groups
        quiet = [Quietness(None)] * self.groups
        due = [(0.0, group) for group in range(self.groups)]
        running: deque[tuple[float, int, float]] = deque()
        stretch, saved = 1.0, 1.0
        looks: list[PollLimit | None] = []
        ended = 0
        while self.now < END:
            self.now += 0.2
            saved = min(1 + self.rate, saved + self.rate * 0.2)
            while running and running[0][0] + self.answer_seconds <= self.now:
                _, group, due_at = running.popleft()
                ended += 1
                if self.now > due_at + WINDOW:
                    self.gaps.append(self.now)
                    polls = 1
                else:
                    polls = quiet[group].polls + 1
                if quiet[group].phase is None:
                    changed[group] = self.now
                quiet_seconds = self.now - changed[group]
                broken = quiet[group].interrupted or (polls == 1 and quiet_seconds > 0)
                quiet[group] = Quietness(Phase.ACTIVE, polls, quiet_seconds, broken)
                wait = interval_after(quiet[group], INTERVALS).total_seconds() * stretch
                heapq.heappush(due, (self.now + wait, group))
            while due and due[0][0] <= self.now and len(running) < meter.places and saved >= 1:
                due_at, group = heapq.heappop(due)
                saved -= 1
                running.append((self.now, group, due_at))
                self.polls += 1
            held = bool(due) and due[0][0] <= self.now
            full = len(running) >= meter.places
            looks.append((PollLimit.CONCURRENCY if full else PollLimit.RATE) if held else None)
            if len(looks) == round(HEARTBEAT_SECONDS / 0.2):
                own = looks.count(PollLimit.CONCURRENCY)
                meter.update(
                    _period(
                        polls=ended,
                        response_seconds=self.answer_seconds if ended else None,
                        waiting_seconds=sum(self.now - began for began, _, _ in running) / len(running)
                        if running
                        else None,
                        limit=max(set(looks), key=looks.count),
                        saturated=own >= 0.8 * len(looks),
                    ),
                    self.rate,
                )
                looks, ended = [], 0
                counts: dict[Quietness, int] = {}
                for each in quiet:
                    counts[each] = counts.get(each, 0) + 1
                needed = requests_per_second(counts.items(), INTERVALS)
                stretch = stretch_of(needed, meter.capacity(self.rate).per_second)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    groups=st.integers(1, 600),
    answer_seconds=st.floats(0.05, 9.5),
    rate=st.floats(2, 100),
    concurrency=st.integers(4, 60),
    raised=st.sampled_from([1, 4]),
)
def test_after_a_while_there_are_no_gaps_however_slow_the_provider_is(
    groups: int, answer_seconds: float, rate: float, concurrency: int, raised: int
) -> None:
    first_round = groups / min(rate, concurrency / answer_seconds)
    # If a round takes longer than any interval, groups that become due together can still be late.
    assume(first_round <= INTERVALS.max_interval.total_seconds())
    simulation = Simulation(groups, answer_seconds, rate, concurrency, concurrency * raised)
    simulation.run()
    # Every group's turn must have come before the schedule can know how long that takes.
    assert [at for at in simulation.gaps if at > WARM_UP + 3 * first_round] == []


def test_the_defaults_record_350_quiet_groups_of_a_slow_provider() -> None:
    simulation = Simulation(350, 8.0, 20.0, 50, 200)
    simulation.run()
    assert simulation.gaps == []
    # Nobody is polled much less often than the maximum interval.
    assert simulation.polls > 350 * END / 60 * 0.7


def test_without_more_places_the_schedule_stretches_instead() -> None:
    simulation = Simulation(350, 8.0, 20.0, 50, 50)
    simulation.run()
    assert max(simulation.gaps, default=0) < WARM_UP
    assert simulation.polls > 0.7 * END * 50 / 8 * 0.9
