"""Single runs that cron repeats: coverage by their own rhythm, whatever the schedule would like."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from recorder.ledger.entries import Action, Entry, Gap, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.transitions import Rules, fail, observe, start
from recorder.polling.run_rhythm import plan_for_runs, rhythm_of
from recorder.polling.schedule import Intervals, plan
from tests.support.bodies import FURTHER, GROUP, RUNNING, SETTLED, moment
from tests.support.short_forms import seconds

WINDOW = timedelta(seconds=30)
RULES = Rules(WINDOW, timedelta(seconds=900), None)
INTERVALS = Intervals(timedelta(seconds=10), timedelta(seconds=60), timedelta(seconds=300), WINDOW)
"""The defaults."""
MINUTE, HOUR = 60, 3600


class Cron:
    """One group, polled by the runs that find it due; the first run is at second 5."""

    def __init__(self, every: float | None = None) -> None:
        self.every = None if every is None else timedelta(seconds=every)
        step = start(GROUP, WatchChange(Action.STARTED, "ann", None), moment(0), RULES)
        self.watch, self.next_poll_at = step.watch, moment(0)
        self.entries: list[Entry] = list(step.entries)
        self.polled: list[float] = []
        self._jitter = random.Random(1)
        self._last_response_at: datetime | None = None

    def run(self, at: float, body: ResponseBody | None = RUNNING, *, others: bool = False) -> None:
        """Start a run at `at`; the provider says `body`, or fails. `others`: it polls further groups."""
        now = moment(at + self._jitter.uniform(0, 3))
        rhythm = rhythm_of(now, self._last_response_at, self.every, INTERVALS)
        if now >= self.next_poll_at:
            self.polled.append(at)
            before = self.watch
            if body is None:
                step = fail(before, Failure(now, now, Cause.SERVER_ERROR, 503, "busy"), RULES)
            else:
                step = observe(before, Observation(now, now, body), RULES)
            planned = plan(step.watch, now, INTERVALS, chance=self._jitter.uniform(-1, 1))
            planned = plan_for_runs(planned, now, rhythm.at(before, now), INTERVALS)
            assert planned.next_poll_at is not None
            self.watch, self.next_poll_at = planned.watch, planned.next_poll_at
            self.entries += step.entries
        if others or (self.watch.open is not None and now == self.watch.open.last_seen_at):
            self._last_response_at = now

    def runs(
        self, times: Iterable[float], body: ResponseBody | None = RUNNING, *, others: bool = False
    ) -> Cron:
        for at in times:
            self.run(at, body, others=others)
        return self

    @property
    def gaps(self) -> list[Gap]:
        return [entry.content for entry in self.entries if isinstance(entry.content, Gap)]


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("body", [RUNNING, SETTLED])
@pytest.mark.parametrize("every", [None, MINUTE])
def test_runs_each_minute_leave_no_gap(every: float | None, body: ResponseBody, others: bool) -> None:
    cron = Cron(every).runs(range(5, 2 * HOUR, MINUTE), body, others=others)
    assert cron.gaps == []
    assert [entry.kind for entry in cron.entries] == ["watch", "status"]


def test_a_group_that_changes_is_polled_by_each_run() -> None:
    cron = Cron()
    times = range(5, HOUR, MINUTE)
    for number, at in enumerate(times):
        cron.run(at, RUNNING if number % 2 else FURTHER)
    assert cron.polled == list(times)
    assert cron.gaps == []


def test_an_active_group_is_polled_by_each_run_and_a_settled_one_by_about_every_fifth() -> None:
    assert len(Cron().runs(range(5, HOUR, MINUTE)).polled) == 60
    quiet = Cron().runs(range(5, 2 * HOUR, MINUTE), SETTLED, others=True).polled[8:]
    assert {round((later - sooner) / MINUTE) for sooner, later in pairwise(quiet)} <= {4, 5}


@pytest.mark.parametrize("every", [5 * MINUTE, 20 * MINUTE, HOUR])
def test_slower_runs_leave_one_gap_until_their_rhythm_is_seen(every: int) -> None:
    cron = Cron().runs(range(5, 12 * every, every))
    (gap,) = cron.gaps
    assert gap.to is not None
    assert seconds(gap.to) < 2 * every
    assert len(cron.polled) == 12
    assert Cron(every).runs(range(5, 12 * every, every)).gaps == []


def test_frequent_runs_poll_about_as_often_as_the_schedule_wants() -> None:
    cron = Cron()
    for number, at in enumerate(range(5, 600, 10)):
        cron.run(at, RUNNING if number % 2 else FURTHER)
    assert len(cron.polled) >= 25
    assert cron.gaps == []


def test_runs_that_did_not_happen_are_a_gap() -> None:
    cron = Cron().runs(range(5, 600, MINUTE))
    assert cron.watch.gap_at is not None
    assert seconds(cron.watch.gap_at) == pytest.approx(545 + MINUTE + 30, abs=6)
    cron.run(785)
    (gap,) = cron.gaps
    assert (gap.cause, gap.attempts) == (Cause.NOT_POLLED, 0)
    # The outage of one run does not pass for the rhythm for long.
    cron.runs(range(845, 1200, MINUTE)).runs(range(1385, 1500, MINUTE))
    assert [gap.cause for gap in cron.gaps] == [Cause.NOT_POLLED] * 2


def test_after_a_long_outage_the_next_runs_are_expected_within_an_hour() -> None:
    cron = Cron().runs(range(5, 600, MINUTE))
    cron.run(600 + 24 * HOUR)
    assert cron.watch.gap_at is not None
    assert seconds(cron.watch.gap_at) <= 600 + 25 * HOUR + 60


def test_failures_each_minute_are_a_gap_of_their_own_cause() -> None:
    """No poll was late: the runs came when they were expected."""
    cron = Cron().runs(range(5, 600, MINUTE)).runs(range(605, 1200, MINUTE), None)
    cron.runs(range(1205, 1800, MINUTE))
    (gap,) = cron.gaps
    assert (gap.cause, gap.http_status) == (Cause.SERVER_ERROR, 503)
    assert gap.attempts >= 5
    assert gap.unpolled_seconds < 60


def test_a_clock_set_back_is_no_rhythm() -> None:
    cron = Cron().runs(range(HOUR + 5, HOUR + 600, MINUTE))
    assert rhythm_of(moment(0), moment(HOUR), None, INTERVALS).at(cron.watch, moment(0)) == timedelta(
        minutes=1
    )
