"""How many polls a recorder can make, and the schedule that follows from it."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean, quantiles

import pytest
from hypothesis import Phase as HypothesisPhase
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.ledger.status_fields import Phase
from recorder.polling.bookings import Bookings, Survey, slot_length
from recorder.polling.capacity import GROWTH, CapacityMeter
from recorder.polling.poll_load import Period
from recorder.polling.schedule import NO_STRETCH, Intervals, Quietness, interval_after, stretch_of
from recorder.store.heartbeats import HEARTBEAT_SECONDS, PollLimit
from tests.support.bodies import NOON, moment
from tests.support.examples import examples

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


def _seconds(at: datetime) -> float:
    return (at - NOON).total_seconds()


def _about(group: Quietness) -> Quietness:
    """Return what the group's interval depends on, rounded so that there are few kinds of groups."""
    quiet_seconds = float(min(100, int(group.quiet_seconds))) if group.interrupted else 0.0
    return Quietness(group.phase, min(group.polls, 8), quiet_seconds, group.interrupted)


def _after(
    meter: CapacityMeter, rate: float, *periods: Period, stretched: bool = False
) -> tuple[float, PollLimit]:
    for period in periods:
        meter.update(period, rate, stretched=stretched)
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


def test_what_is_reached_counts_if_it_is_less_than_places_and_answers_allow() -> None:
    """Places that are used up only most of the time make fewer polls than the time of an answer says."""
    busy = _period(polls=54, response_seconds=0.4, limit=PollLimit.CONCURRENCY, saturated=True)
    assert _after(CapacityMeter(20, 20), 100.0, busy, busy) == (27.0, PollLimit.CONCURRENCY)


def test_answers_in_bursts_are_counted_over_several_answer_times() -> None:
    """50 polls that began together end together, 8 s later: most periods see none of them end."""
    waiting = _period(waiting_seconds=7.0, limit=PollLimit.CONCURRENCY, saturated=True)
    burst = _period(polls=50, response_seconds=8.0, limit=PollLimit.CONCURRENCY, saturated=True)
    meter = CapacityMeter(50, 50)
    for period in [waiting, waiting, waiting, burst] * 8:
        meter.update(period, 20.0, stretched=True)
    assert meter.capacity(20.0).per_second == pytest.approx(50 / 8, rel=0.15)
    assert meter.capacity(20.0).limit is PollLimit.CONCURRENCY
    assert meter.reached_per_second == pytest.approx(50 / 8)


def test_less_than_one_poll_a_second_can_be_possible() -> None:
    """Four places and answers after 8 s make one poll in two seconds; most periods see none of them end."""
    waiting = [
        _period(waiting_seconds=seconds, limit=PollLimit.CONCURRENCY, saturated=True) for seconds in (1, 3, 5)
    ]
    burst = _period(polls=4, response_seconds=8.0, limit=PollLimit.CONCURRENCY, saturated=True)
    meter, told = CapacityMeter(4, 4), []
    for period in [burst, *[*waiting, burst] * 8]:
        meter.update(period, 20.0, stretched=True)
        told.append(meter.capacity(20.0).per_second)
    assert told[-4:] == pytest.approx([0.5] * 4)


def test_a_stretched_schedule_is_relaxed_no_faster_than_polls_show_to_be_possible() -> None:
    starved = _period(polls=20, response_seconds=0.01, limit=PollLimit.MACHINE, saturated=True)
    calm = _period(polls=18, response_seconds=0.01)
    meter = CapacityMeter(50, 50)
    assert _after(meter, 1000.0, starved, starved, stretched=True) == (10.0, PollLimit.DATABASE)
    # Nine tenths of the capacity are used: that shows only that a little more is possible, however often.
    relaxed, _ = _after(meter, 1000.0, *[calm] * 40, stretched=True)
    assert 10.0 < relaxed <= 10.0 * GROWTH


def test_more_polls_run_at_once_while_answers_are_slow_and_the_rate_is_not_used_up() -> None:
    meter = CapacityMeter(50, 200)
    waiting = _period(waiting_seconds=6.0, limit=PollLimit.CONCURRENCY, saturated=True)
    meter.update(waiting, 20.0, stretched=False)
    assert meter.places == 150
    meter.update(_period(polls=40, response_seconds=0.1), 20.0, stretched=False)
    meter.update(_period(polls=40, response_seconds=0.1), 20.0, stretched=False)
    meter.update(_period(polls=40, response_seconds=0.1), 20.0, stretched=False)
    assert meter.places == 50


@pytest.mark.parametrize(("most", "failed", "places"), [(100, False, 100), (200, True, 50)])
def test_the_number_of_polls_at_once_is_bounded_and_not_raised_for_failures(
    most: int, failed: bool, places: int
) -> None:
    meter = CapacityMeter(50, most)
    meter.update(_period(polls=9, response_seconds=8.0, mostly_failed=failed), 20.0, stretched=False)
    assert meter.places == places


@dataclass
class Simulation:
    """Groups that are polled by the real schedule and capacity; every answer takes `answer_seconds`.

    They are quiet, or `changing` all the time. The recorder's machine can finish so many polls a second as
    `machine` says, give or take `noise` times as many, which is drawn anew every two seconds.
    """

    groups: int
    answer_seconds: float
    rate: float
    concurrency: int
    most_at_once: int
    end: float = END
    changing: bool = False
    machine: float = math.inf
    noise: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(5))
    now: float = 0.0
    gaps: list[float] = field(default_factory=list)
    polls: int = 0
    told: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Run in steps of the time between two claims."""
        meter = CapacityMeter(self.concurrency, self.most_at_once)
        changed = [0.0] * self.groups
        quiet = [Quietness(None)] * self.groups
        due = [(0.0, group) for group in range(self.groups)]
        running: deque[tuple[float, int, float]] = deque()
        stretch, saved, bookings = NO_STRETCH, 1.0, Bookings(INTERVALS)
        looks: list[PollLimit | None] = []
        took: list[float] = []
        possible_now = self.machine
        work, busy = 0.0, 0.0
        before = [math.inf] * self.groups
        while self.now < self.end:
            self.now += 0.2
            saved = min(1 + self.rate, saved + self.rate * 0.2)
            work = min(work, 1.0) + possible_now * 0.2
            while running and running[0][0] + self.answer_seconds <= self.now and work >= 1:
                began, group, due_at = running.popleft()
                work -= 1
                busy += 1 / possible_now
                took.append(self.now - began)
                if self.now > WARM_UP:
                    self.waits.append(self.now - before[group])
                before[group] = self.now
                if self.now > due_at + WINDOW:
                    self.gaps.append(self.now)
                    polls = 1
                else:
                    polls = quiet[group].polls + 1
                if self.changing or quiet[group].phase is None:
                    changed[group], polls = self.now, 1
                quiet_seconds = self.now - changed[group]
                broken = quiet[group].interrupted or (polls == 1 and quiet_seconds > 0)
                quiet[group] = Quietness(Phase.ACTIVE, polls, quiet_seconds, broken)
                interval = interval_after(quiet[group], INTERVALS)
                wait = stretch.of(interval, INTERVALS.max_interval)
                due_at = _seconds(bookings.place(moment(self.now) + wait))
                heapq.heappush(due, (due_at, group))
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
                        polls=len(took),
                        response_seconds=sum(took) / len(took) if took else None,
                        waiting_seconds=sum(self.now - began for began, _, _ in running) / len(running)
                        if running
                        else None,
                        limit=max(set(looks), key=looks.count),
                        saturated=own >= 0.8 * len(looks),
                        cpu_share=busy / HEARTBEAT_SECONDS,
                    ),
                    self.rate,
                    stretched=stretch.factor > 1,
                )
                looks, took, busy = [], [], 0.0
                possible_now = self.machine * max(0.2, 1 + self.noise * self.chance.gauss())
                possible = meter.capacity(self.rate).per_second
                stretch = stretch_of(Counter(map(_about, quiet)).items(), possible, INTERVALS)
                length = slot_length(INTERVALS, possible).total_seconds()
                planned = Counter(max(0, int((due_at - self.now) / length)) for due_at, _ in due)
                bookings.refresh(Survey(moment(self.now), planned, possible, 0.0))
                self.told.append(stretch.factor)


@pytest.mark.slow
@settings(
    max_examples=examples(0.3), deadline=None, phases=[HypothesisPhase.explicit, HypothesisPhase.generate]
)
@given(
    groups=st.integers(1, 150),
    answer_seconds=st.floats(0.05, 9.5),
    rate=st.floats(2, 100),
    concurrency=st.integers(4, 60),
    raised=st.sampled_from([1, 4]),
)
def test_after_the_first_rounds_there_are_next_to_no_gaps_however_slow_the_provider_is(
    groups: int, answer_seconds: float, rate: float, concurrency: int, raised: int
) -> None:
    first_round = groups / min(rate, concurrency / answer_seconds)
    # Every group's turn must have come before the schedule can know how long that takes.
    settled = WARM_UP + 2 * first_round
    end = settled + 3 * first_round
    simulation = Simulation(groups, answer_seconds, rate, concurrency, concurrency * raised, end)
    simulation.run()
    late = [at for at in simulation.gaps if at > settled]
    assert len(late) <= max(1, 0.01 * simulation.polls)


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


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("machine", [27, 12])
def test_an_overloaded_machine_polls_all_groups_as_often_as_it_says(machine: float, noise: float) -> None:
    """300 groups that change all the time need 30 polls a second."""
    simulation = Simulation(300, 0.05, 1000.0, 12, 12, changing=True, machine=machine, noise=noise)
    simulation.run()
    told = simulation.told[round(WARM_UP / HEARTBEAT_SECONDS) :]
    cuts = quantiles(simulation.waits, n=100)
    real = fmean(simulation.waits) / INTERVALS.poll_interval.total_seconds()
    assert fmean(told) == pytest.approx(real, rel=0.15)
    if not noise:
        # Nor does the schedule swing, which would cost polls.
        assert told == pytest.approx([real] * len(told), rel=0.15)
        assert real < 30 / machine / 0.85
    assert cuts[98] < 1.5 * cuts[49]
