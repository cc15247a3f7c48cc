"""When a group is polled again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.ledger.entries import Action, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import Phase
from recorder.ledger.transitions import Rules, fail, observe, start
from recorder.ledger.watch import Watch, WatchState
from recorder.polling.schedule import (
    EARLY_RETRY_SHARE,
    JITTER,
    NO_STRETCH,
    USABLE_SHARE,
    Intervals,
    IntervalStretch,
    Plan,
    Quietness,
    interval_after,
    interval_of,
    longest_interval,
    longest_wait,
    plan,
    requests_per_second,
    stretch_of,
)
from tests.support.bodies import BLOCKED, EMPTY, GROUP, NOON, RUNNING, SETTLED, UNCLEAR, moment
from tests.support.examples import examples

INTERVALS = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 30)))
PHASES = {"active": RUNNING, "blocked": BLOCKED, "unclear": UNCLEAR, "empty": EMPTY, "settled": SETTLED}
IDLE = {"empty", "settled"}

CHANCES = st.floats(-1, 1)
POLLS = st.integers(1, 10_000)
BODIES = st.sampled_from(sorted(PHASES))
INTERVAL_SETS = st.builds(
    lambda poll, longest, settled, grace: Intervals(
        *(timedelta(seconds=each) for each in (poll, longest, settled, max(poll, grace)))
    ),
    st.floats(0.1, 600),
    st.floats(1, 3600),
    st.floats(1, 3600),
    st.floats(0, 600),
)


def _rules(intervals: Intervals) -> Rules:
    return Rules(intervals.gap_window, timedelta(days=300), None)


def _started(intervals: Intervals = INTERVALS) -> Watch:
    return start(GROUP, WatchChange(Action.STARTED, "ann", None), NOON, _rules(intervals)).watch


def _seen(body: ResponseBody, polls: int = 1, intervals: Intervals = INTERVALS) -> Watch:
    """A group with `body` in its last `polls` responses, the last one at noon."""
    watch = observe(_started(intervals), Observation(NOON, NOON, body), _rules(intervals)).watch
    assert watch.open is not None
    return replace(watch, open=replace(watch.open, polls=polls))


def _planned(body: ResponseBody, polls: int = 1, intervals: Intervals = INTERVALS, chance: float = 0) -> Plan:
    return plan(_seen(body, polls, intervals), NOON, intervals, chance=chance)


def _failed(watch: Watch, at: datetime, intervals: Intervals = INTERVALS) -> Watch:
    failure = Failure(at, at, Cause.SERVER_ERROR, 500, "oops")
    return fail(watch, failure, _rules(intervals)).watch


def _seconds(polled: Plan) -> float:
    assert polled.next_poll_at is not None
    return (polled.next_poll_at - NOON).total_seconds()


@pytest.mark.parametrize("body", PHASES.values(), ids=PHASES.keys())
def test_a_new_status_is_polled_again_after_the_poll_interval(body: ResponseBody) -> None:
    polled = _planned(body)
    assert (_seconds(polled), polled.interval_seconds) == (10, 10)


@pytest.mark.parametrize("phase", ["active", "blocked", "unclear"])
@pytest.mark.parametrize(
    ("polls", "seconds"), [(2, 15), (3, 22.5), (4, 33.75), (5, 50.625), (6, 60), (7, 60), (10_000, 60)]
)
def test_backs_off_by_half_up_to_the_maximum(phase: str, polls: int, seconds: float) -> None:
    polled = _planned(PHASES[phase], polls)
    assert (_seconds(polled), polled.interval_seconds) == (seconds, seconds)


@pytest.mark.parametrize("phase", sorted(IDLE))
@pytest.mark.parametrize(
    ("polls", "seconds"), [(2, 15), (6, 75.9375), (9, 256.289062), (10, 300), (10_000, 300)]
)
def test_backs_off_to_the_settled_interval(phase: str, polls: int, seconds: float) -> None:
    assert _seconds(_planned(PHASES[phase], polls)) == pytest.approx(seconds, abs=1e-4)


@pytest.mark.parametrize(
    ("phase", "hours", "seconds"),
    [
        *((Phase.SETTLED, hours, 300 + (hours - 2) * 360) for hours in (2, 3, 24, 168)),
        (Phase.SETTLED, 24 * 300, 86400),
        (Phase.EMPTY, 168, 300),
        (Phase.ACTIVE, 168, 60),
    ],
)
def test_a_settled_group_that_stays_quiet_backs_off_further(phase: Phase, hours: int, seconds: float) -> None:
    group = Quietness(phase, 50, hours * 3600)
    assert interval_after(group, INTERVALS).total_seconds() == pytest.approx(seconds)


def test_ten_thousand_groups_a_day_fit_the_default_rate_until_they_are_retired() -> None:
    week, quiet_seconds, polls = 7 * 86400, 0.0, 0
    while quiet_seconds < week:
        polls += 1
        quiet_seconds += interval_after(
            Quietness(Phase.SETTLED, polls, quiet_seconds), INTERVALS
        ).total_seconds()
    assert 10_000 * polls / 86400 < 20 * USABLE_SHARE * 0.6


@pytest.mark.parametrize(("quiet", "seconds"), [(0, 10), (10, 15), (25, 22.5), (47.5, 33.75), (3600, 60)])
def test_a_gap_does_not_reset_the_back_off_of_a_group_that_did_not_change(
    quiet: float, seconds: float
) -> None:
    """After 10 + 15 + 22.5 s of equal responses comes the interval of the fourth one, gap or not."""
    watch = _seen(RUNNING)
    late = replace(watch, due_at=NOON, gap_at=moment(quiet - 1), poll_due_at=NOON)
    step = observe(late, Observation(moment(quiet), moment(quiet), RUNNING), _rules(INTERVALS))
    assert [entry.kind for entry in step.entries] == ["gap", "status"]
    assert interval_of(step.watch, moment(quiet), INTERVALS).total_seconds() == pytest.approx(seconds)


def test_a_changed_response_after_a_gap_resets_the_back_off() -> None:
    late = replace(_seen(RUNNING, 9), due_at=NOON, gap_at=moment(1), poll_due_at=NOON)
    step = observe(late, Observation(moment(60), moment(60), SETTLED), _rules(INTERVALS))
    assert interval_of(step.watch, moment(60), INTERVALS) == INTERVALS.poll_interval


@settings(max_examples=examples(2), deadline=None)
@given(BODIES, POLLS, INTERVAL_SETS, CHANCES)
def test_interval_and_delay_are_bounded(phase: str, polls: int, intervals: Intervals, chance: float) -> None:
    polled = _planned(PHASES[phase], polls, intervals, chance)
    longest = max(intervals.max_interval, intervals.poll_interval)
    if phase in IDLE:
        longest = max(intervals.settled_interval, intervals.poll_interval)
    interval = polled.interval_seconds
    assert interval is not None
    assert intervals.poll_interval.total_seconds() <= interval <= longest.total_seconds()
    assert 0.9 * interval - 1e-5 <= _seconds(polled) <= 1.1 * interval + 1e-5


@settings(max_examples=examples(2), deadline=None)
@given(BODIES, st.integers(1, 200), INTERVAL_SETS)
def test_interval_never_shrinks_while_nothing_changes(phase: str, polls: int, intervals: Intervals) -> None:
    body = PHASES[phase]
    assert interval_of(_seen(body, polls, intervals), NOON, intervals) <= interval_of(
        _seen(body, polls + 1, intervals), NOON, intervals
    )


@pytest.mark.parametrize(("chance", "seconds"), [(-1, 9), (-0.5, 9.5), (0, 10), (1, 11)])
def test_jitter(chance: float, seconds: float) -> None:
    assert _seconds(_planned(RUNNING, chance=chance)) == pytest.approx(seconds)


@settings(max_examples=examples(2), deadline=None)
@given(BODIES, POLLS, INTERVAL_SETS, CHANCES)
def test_due_at_the_next_poll_and_in_a_gap_one_window_later(
    phase: str, polls: int, intervals: Intervals, chance: float
) -> None:
    polled = _planned(PHASES[phase], polls, intervals, chance)
    watch = polled.watch
    assert watch.due_at is not None
    assert watch.due_at == watch.poll_due_at == polled.next_poll_at
    assert watch.gap_at == watch.due_at + intervals.gap_window


@pytest.mark.slow
@settings(max_examples=examples(2), deadline=None)
@given(BODIES, INTERVAL_SETS, CHANCES, st.integers(1, 50), st.none() | st.floats(0, 3600))
def test_failures_do_not_change_due_at_and_gap_at(
    phase: str, intervals: Intervals, chance: float, failures: int, retry_after: float | None
) -> None:
    before = _planned(PHASES[phase], 3, intervals, chance)
    watch, at = before.watch, before.next_poll_at
    for _ in range(failures):
        assert at is not None
        polled = plan(
            _failed(watch, at, intervals), at, intervals, chance=chance, retry_after_seconds=retry_after
        )
        watch, at = polled.watch, polled.next_poll_at
    assert (watch.due_at, watch.gap_at) == (before.watch.due_at, before.watch.gap_at)
    assert watch.poll_due_at == at


def _retries(polled: Plan, intervals: Intervals, chance: float, times: int) -> list[datetime]:
    """Return when a group is polled again if all polls from the next one on fail immediately."""
    watch, at = polled.watch, polled.next_poll_at
    retries = []
    for _ in range(times):
        assert at is not None
        polled = plan(_failed(watch, at, intervals), at, intervals, chance=chance)
        watch, at = polled.watch, polled.next_poll_at
        assert at is not None
        retries.append(at)
    return retries


@settings(max_examples=examples(2), deadline=None)
@given(BODIES, POLLS, INTERVAL_SETS, CHANCES)
def test_two_retries_fit_before_gap_at(phase: str, polls: int, intervals: Intervals, chance: float) -> None:
    polled = _planned(PHASES[phase], polls, intervals, chance)
    assert polled.watch.gap_at is not None
    assert _retries(polled, intervals, chance, 2)[-1] < polled.watch.gap_at


@settings(max_examples=examples(2), deadline=None)
@given(BODIES, POLLS, INTERVAL_SETS, CHANCES)
def test_retries_before_gap_at_wait_for_at_most_a_fraction_of_the_window(
    phase: str, polls: int, intervals: Intervals, chance: float
) -> None:
    polled = _planned(PHASES[phase], polls, intervals, chance)
    assert polled.watch.gap_at is not None
    retries = _retries(polled, intervals, chance, 12)
    longest = intervals.gap_window / EARLY_RETRY_SHARE * (1 + JITTER) + timedelta(microseconds=1)
    for earlier, later in pairwise(retries):
        assert later - earlier <= longest or earlier > polled.watch.gap_at


def test_a_gap_outlasts_its_outage_by_at_most_half() -> None:
    retries = _retries(_planned(RUNNING), INTERVALS, 0, 12)
    gap_at = _planned(RUNNING).watch.gap_at
    assert gap_at is not None
    for earlier, later in pairwise(retries):
        if earlier > gap_at:
            assert later - earlier <= max(INTERVALS.gap_window / EARLY_RETRY_SHARE, (earlier - gap_at) / 2)


def test_two_retries_fit_before_gap_at_of_a_new_watch() -> None:
    watch = _started()
    assert watch.gap_at is not None
    assert _retries(Plan(watch, watch.due_at, None), INTERVALS, 1, 2)[-1] < watch.gap_at


@settings(max_examples=examples(2), deadline=None)
@given(BODIES, POLLS, INTERVAL_SETS, CHANCES)
def test_failures_back_off_to_five_minutes(
    phase: str, polls: int, intervals: Intervals, chance: float
) -> None:
    retries = _retries(_planned(PHASES[phase], polls, intervals, chance), intervals, chance, 60)
    delays = [(later - earlier).total_seconds() for earlier, later in pairwise(retries)]
    assert min(delays) > 0
    assert delays == pytest.approx(sorted(delays), abs=1e-5)
    assert delays[-1] == pytest.approx(300 * (1 + 0.1 * chance), abs=1e-3)


@pytest.mark.parametrize("retry_after", [20, 60, 3600])
@pytest.mark.parametrize("chance", [-1, 0, 1])
def test_retry_after_is_obeyed(retry_after: float, chance: float) -> None:
    watch = _failed(_planned(RUNNING).watch, moment(10))
    polled = plan(watch, moment(10), INTERVALS, chance=chance, retry_after_seconds=retry_after)
    assert polled.next_poll_at is not None
    assert polled.next_poll_at >= moment(10 + retry_after)
    assert polled.next_poll_at <= moment(10 + 1.1 * retry_after)


@pytest.mark.parametrize("chance", [-1, 0, 1])
def test_short_retry_after_does_not_bring_a_retry_forward(chance: float) -> None:
    watch = _failed(_planned(RUNNING).watch, moment(10))
    without = plan(watch, moment(10), INTERVALS, chance=chance)
    assert plan(watch, moment(10), INTERVALS, chance=chance, retry_after_seconds=0) == without


def test_a_response_resets_the_backoff() -> None:
    watch = _planned(RUNNING).watch
    for at in (10, 14, 21):
        watch = plan(_failed(watch, moment(at)), moment(at), INTERVALS, chance=0).watch
    back = observe(watch, Observation(moment(36), moment(36), RUNNING), _rules(INTERVALS)).watch
    assert plan(back, moment(36), INTERVALS, chance=0).next_poll_at == moment(36 + 15)


def _gone() -> Watch:
    return replace(_started(), state=WatchState.GONE, due_at=None, gap_at=None, poll_due_at=None)


@pytest.mark.parametrize("chance", [-1, 0, 1])
def test_gone_group_is_polled_at_the_settled_interval(chance: float) -> None:
    polled = plan(_gone(), NOON, INTERVALS, chance=chance)
    assert _seconds(polled) == pytest.approx(300 * (1 + 0.1 * chance))
    assert (polled.watch, polled.interval_seconds) == (_gone(), None)


def test_retry_after_is_obeyed_for_a_gone_group_too() -> None:
    assert _seconds(plan(_gone(), NOON, INTERVALS, chance=0, retry_after_seconds=3600)) >= 3600


@pytest.mark.parametrize("state", [WatchState.PAUSED, WatchState.STOPPED, WatchState.RETIRED])
def test_unwatched_group_is_not_polled(state: WatchState) -> None:
    watch = replace(_gone(), state=state)
    assert plan(watch, NOON, INTERVALS, chance=0) == Plan(watch, None, None)


@given(BODIES, POLLS, CHANCES, INTERVAL_SETS, st.floats(1, 100))
def test_stretched_intervals_are_longer_by_the_factor(
    phase: str, polls: int, chance: float, intervals: Intervals, stretch: float
) -> None:
    watch = _seen(PHASES[phase], polls, intervals)
    plain = plan(watch, NOON, intervals, chance=chance)
    stretched = plan(watch, NOON, intervals, chance=chance, stretch=IntervalStretch(stretch, stretch))
    assert plain.interval_seconds is not None and stretched.interval_seconds is not None
    assert stretched.interval_seconds == pytest.approx(plain.interval_seconds * stretch, abs=1e-5)
    assert _seconds(stretched) == pytest.approx(_seconds(plain) * stretch, abs=1e-3)
    assert stretched.watch.due_at == stretched.next_poll_at
    assert stretched.watch.gap_at == stretched.watch.due_at + intervals.gap_window  # type: ignore[operator]


WORKLOADS = st.lists(
    st.tuples(
        st.builds(
            Quietness,
            st.sampled_from([None, *Phase]),
            st.integers(0, 50),
            st.floats(0, 1e6),
            interrupted=st.booleans(),
        ),
        st.integers(1, 10_000),
    ),
    max_size=20,
)


@given(WORKLOADS, INTERVAL_SETS, st.floats(0.01, 1000))
def test_a_stretched_workload_fits_the_rate(
    groups: list[tuple[Quietness, int]], intervals: Intervals, rate: float
) -> None:
    needed = requests_per_second(groups, intervals)
    stretch = stretch_of(groups, rate, intervals)
    assert stretch.factor >= 1 and stretch.of_longest >= 1
    stretched = sum(
        count
        / stretch.of(
            interval_after(group, intervals), longest_interval(group.phase, intervals)
        ).total_seconds()
        for group, count in groups
    )
    assert stretched <= rate * USABLE_SHARE * (1 + 1e-3)
    if needed <= rate * USABLE_SHARE:
        assert stretch == NO_STRETCH


def test_groups_that_are_all_alike_are_stretched_by_what_is_missing() -> None:
    stretch = stretch_of([(Quietness(Phase.ACTIVE, 1), 1000)], 20, INTERVALS)
    assert stretch.factor == pytest.approx(1000 / 10 / 18)


def test_no_group_waits_longer_than_if_all_had_backed_off() -> None:
    """Half of the groups change: these wait longer for it that the others keep to the maximum."""
    groups = [(Quietness(Phase.ACTIVE, 1), 500), (Quietness(Phase.ACTIVE, 50), 500)]
    stretch, longest = stretch_of(groups, 20, INTERVALS), INTERVALS.max_interval
    assert stretch.of(longest, longest) == longest
    left = 18 - 500 / 60
    assert stretch.of(INTERVALS.poll_interval, longest).total_seconds() == pytest.approx(500 / left, rel=1e-3)


@given(BODIES, POLLS, INTERVAL_SETS)
def test_a_group_needs_one_request_per_interval(phase: str, polls: int, intervals: Intervals) -> None:
    watch = _seen(PHASES[phase], polls, intervals)
    assert watch.in_force is not None
    needed = requests_per_second([(Quietness(watch.in_force.phase, polls), 1)], intervals)
    assert needed == pytest.approx(1 / interval_of(watch, NOON, intervals).total_seconds())


@given(BODIES, POLLS, CHANCES, INTERVAL_SETS, st.floats(1, 50))
def test_no_wait_exceeds_the_longest_wait(
    phase: str, polls: int, chance: float, intervals: Intervals, stretch: float
) -> None:
    watch = _seen(PHASES[phase], polls, intervals)
    stretched = IntervalStretch(stretch, stretch)
    for planned in (
        plan(watch, NOON, intervals, chance=chance, stretch=stretched),
        plan(_failed(watch, NOON, intervals), NOON, intervals, chance=chance, stretch=stretched),
        plan(
            replace(watch, state=WatchState.GONE),
            NOON,
            intervals,
            chance=chance,
            stretch=stretched,
        ),
    ):
        assert planned.next_poll_at is not None
        assert planned.next_poll_at - NOON <= longest_wait(intervals, stretch) + timedelta(milliseconds=1)
