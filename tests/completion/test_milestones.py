"""Milestones against an oracle that looks for each of them in the raw responses."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.completion import milestones
from recorder.completion.episodes import Episode
from recorder.completion.milestones import MOST_STEPS, Milestone
from recorder.completion.time_bounds import Moment
from recorder.ledger.entries import Action
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.ledger.timestamps import format_time
from tests.support.ledgers import GROUP, Ledger, body, in_seconds, seconds, time
from tests.support.strategies import ledgers

SHARES = (Fraction(1, 2), Fraction(9, 10), Fraction(95, 100), Fraction(99, 100), Fraction(1))
Place = tuple[float, float | None, float, str]
Reached = tuple[Place, bool]


@dataclass(frozen=True)
class Seen:
    """A response: when it was asked for and received, and what it says; `finished` is None if it does not
    say."""

    asked: float
    at: float
    total: int
    finished: int | None
    active: bool
    created: float | None
    modified: float | None

    @property
    def phase(self) -> str:
        if self.active:
            return "active"
        if self.total == 0 and not self.finished:
            return "empty"
        return "settled" if self.finished == self.total > 0 else "unclear"

    def body(self) -> ResponseBody:
        status = {
            "num_task_runs": self.total,
            "task_run_status_counts": {"completed": self.finished},
            "is_active": self.active,
            "modified_at": None if self.modified is None else format_time(time(self.modified)),
        }
        if self.finished is None:
            del status["task_run_status_counts"]
        created = None if self.created is None else format_time(time(self.created))
        return parse_body(
            json.dumps({"taskgroup_id": GROUP, "created_at": created, "status": status}).encode()
        )


@dataclass(frozen=True)
class Step:
    """What happens `wait` seconds after the step before."""

    what: str
    wait: float
    delay: float
    total: int
    finished: int | None
    active: bool
    modified: float | None
    is_dated: bool


def _steps(*, totals: list[int], waits: list[float]) -> st.SearchStrategy[list[Step]]:
    step = st.builds(
        Step,
        what=st.sampled_from(["see"] * 8 + ["fail", "pause"]),
        wait=st.sampled_from(waits),
        delay=st.sampled_from([0, 0.5, 2]),
        total=st.sampled_from(totals),
        finished=st.integers(0, 12) | st.none(),
        active=st.sampled_from([True, True, True, False]),
        modified=st.none() | st.floats(0, 1),
        is_dated=st.sampled_from([True, True, True, False]),
    )
    return st.lists(step, min_size=6, max_size=30)


def _play(steps: list[Step], created: float | None) -> tuple[Ledger, list[Seen]]:
    """Record the steps; those that are dated say `created`.

    `modified_at` never decreases, so that no state is older than one before it.
    """
    ledger, seen, now, latest = Ledger(), [], 0.0, -60.0
    for step in steps:
        asked = now + step.wait
        now = asked + step.delay
        if step.what == "fail":
            ledger.fail(now)
        elif step.what == "pause":
            ledger.cease(now).resume(now)
        else:
            if step.modified is not None:
                latest = max(latest, latest + step.modified * (now - latest))
            modified = None if step.modified is None else round(latest, 3)
            said = created if step.is_dated else None
            seen.append(Seen(asked, now, step.total, step.finished, step.active, said, modified))
            ledger.see(now, seen[-1].body(), asked=asked)
    return ledger, seen


def _places(seen: list[Seen]) -> Iterator[list[tuple[int, Reached | None]]]:
    """Yield the milestones of each episode: how many runs, and when these had finished."""
    before: Seen | None = None
    done, opened, mine = 0, False, list[Seen]()
    for one in seen:
        if one.phase == "unclear":
            continue
        changed = before is None or before.phase != "settled" or before.finished != one.finished
        if not opened and (one.phase == "active" or (one.phase == "settled" and changed)):
            opened, mine, anchor = True, [], before
        mine.append(one)
        before = one
        if opened and one.phase == "settled":
            yield _found(mine, anchor, done)
            opened, done = False, one.total
    if opened:
        yield _found(mine, anchor, done)


def _found(mine: list[Seen], anchor: Seen | None, done: int) -> list[tuple[int, Reached | None]]:
    runs = mine[-1].total - done
    return [(math.ceil(share * runs), _place(mine, anchor, done, share, runs)) for share in SHARES]


def _place(mine: list[Seen], anchor: Seen | None, done: int, share: Fraction, runs: int) -> Reached | None:
    needed, most, below = done + math.ceil(share * runs), done, anchor
    for one in mine if runs > 0 else []:
        if one.finished is None or one.finished < most:
            continue
        if one.finished >= needed:
            return _window(below, one, is_last=share == 1)
        most, below = one.finished, one
    return None


def _window(below: Seen | None, first: Seen, *, is_last: bool) -> Reached:
    """Return the place in the window, and whether our clock stepped back in it."""
    known = [] if below is None else [below.asked]
    if first.created is not None and first.created <= first.at:
        known.append(first.created)
    stepped_back = below is not None and below.asked > first.at
    earliest = max(known, default=None) if not stepped_back else None
    modified = first.modified
    inside = modified is not None and modified <= first.at and (earliest is None or earliest <= modified)
    if is_last and inside and modified is not None:
        return (modified, earliest, first.at, "modified_at"), stepped_back
    if earliest is None:
        return (first.at, None, first.at, "first_sight"), stepped_back
    return ((earliest + first.at) / 2, earliest, first.at, "midpoint"), stepped_back


def _milestones(episode: Episode) -> tuple[Milestone, ...]:
    assert episode.milestones is not None
    assert [milestone.fraction for milestone in episode.milestones] == [0.5, 0.9, 0.95, 0.99, 1]
    return episode.milestones


def _agrees(milestone: Milestone, started: Moment, runs: int, reached: Reached | None) -> bool:
    found = in_seconds(milestone.reached)
    if milestone.runs != (runs if runs >= 0 else None) or (found is None) is not (reached is None):
        return False
    if found is None or reached is None or milestone.elapsed is None:
        return milestone.elapsed is None
    place, stepped_back = reached
    longest = None
    if started.earliest is not None and not stepped_back and seconds(started.earliest) <= place[2]:
        longest = place[2] - seconds(started.earliest)
    agrees = (longest is None) is (milestone.elapsed.latest is None)
    agrees &= abs((longest or 0) - (milestone.elapsed.latest or 0)) < 1e-5
    return agrees and found[1:] == place[1:] and abs(found[0] - place[0]) < 1e-5


CREATED = st.sampled_from([None, -100.0, 30.0])


@given(_steps(totals=[0, 3, 7, 10, 12], waits=[0.5, 3, 10, 60, -15, -400]), CREATED)
def test_every_milestone_is_where_the_responses_put_it(steps: list[Step], created: float | None) -> None:
    ledger, seen = _play(steps, created)
    expected = list(_places(seen))
    episodes = ledger.episodes()
    assert len(episodes) == len(expected)
    for episode, places in zip(episodes, expected, strict=True):
        for milestone, (runs, place) in zip(_milestones(episode), places, strict=True):
            assert _agrees(milestone, episode.started, runs, place), (milestone, runs, place)


@given(ledgers(steps_back=True))
def test_times_are_bounded_and_never_negative(ledger: Ledger) -> None:
    for episode in ledger.episodes():
        for milestone in _milestones(episode):
            assert milestone.reached is not None or not milestone.runs or episode.censored
            assert (milestone.reached is None) is (milestone.elapsed is None)
            if milestone.reached is None or milestone.elapsed is None:
                continue
            moment, elapsed = milestone.reached, milestone.elapsed
            assert moment.at <= moment.latest
            assert moment.earliest is None or moment.earliest <= moment.at
            assert 0 <= (elapsed.earliest or 0) <= elapsed.seconds
            assert elapsed.latest is None or elapsed.seconds <= elapsed.latest
            assert elapsed.seconds == max(0, (moment.at - episode.started.at).total_seconds())


def _long(totals: list[int], rises: list[int], waits: list[float]) -> Ledger:
    """Record a group whose runs finish `rises` at a time, beginning anew with `totals` and `waits`."""
    ledger, now, finished = Ledger(), 1.0, 0
    ledger.see(now, body(created=0, total=totals[0], active=True))
    for number, rise in enumerate(rises):
        now, finished = now + waits[number % len(waits)], finished + rise
        total = max(finished, totals[number % len(totals)])
        ledger.see(now, body(created=0, modified=now - 0.5, total=total, active=True, completed=finished))
    return ledger


def _with_limit(limit: int, ledger: Ledger) -> tuple[Milestone, ...]:
    with patch.object(milestones, "MOST_STEPS", limit):
        return _milestones(ledger.only())


RISES = st.lists(st.integers(1, 4), min_size=45, max_size=55)
WAITS = st.lists(st.sampled_from([2.0, 10.0, 45.0, -3.0]), min_size=1, max_size=5)


@given(st.integers(0, 10), RISES, WAITS)
def test_no_window_widens_while_the_runs_are_known(more: int, rises: list[int], waits: list[float]) -> None:
    ledger = _long([sum(rises) + more], rises, waits)
    assert _with_limit(14, ledger) == _with_limit(10**6, ledger)


@given(st.lists(st.integers(1, 120), min_size=1, max_size=30), RISES, WAITS)
def test_when_the_number_of_runs_moves_a_window_can_only_widen(
    totals: list[int], rises: list[int], waits: list[float]
) -> None:
    ledger = _long(totals, rises, waits)
    for bounded, exact in zip(_with_limit(14, ledger), _with_limit(10**6, ledger), strict=True):
        assert (bounded.runs, bounded.reached is None) == (exact.runs, exact.reached is None)
        if bounded.reached is None or exact.reached is None:
            continue
        assert bounded.reached.latest >= exact.reached.latest
        if bounded.reached.earliest is not None:
            assert exact.reached.earliest is not None
            assert bounded.reached.earliest <= exact.reached.earliest
        assert bounded.elapsed is not None
        assert exact.elapsed is not None
        if bounded.elapsed.latest is not None:
            assert exact.elapsed.latest is not None
            assert bounded.elapsed.latest >= exact.elapsed.latest


def test_a_group_that_grows_all_the_time_keeps_narrow_windows() -> None:
    """Ten more runs are always to be done, so half of those at the end were done at half of the time."""
    ledger = _long([number + 10 for number in range(400)], [1] * 400, [10.0])
    found = _milestones(ledger.only())
    for milestone in found:
        if milestone.reached is not None and milestone.runs is not None:
            moment = milestone.reached
            assert moment.earliest is not None
            assert seconds(moment.earliest) <= 1 + 10 * milestone.runs <= seconds(moment.latest)
            assert (moment.latest - moment.earliest).total_seconds() < 4_000 / MOST_STEPS


def test_an_example() -> None:
    ledger = Ledger()
    ledger.see(1, body(created=0)).see(11, body(created=0, running=10))
    ledger.see(21, body(created=0, running=5, completed=5)).see(31, body(created=0, running=1, completed=9))
    ledger.see(91, body(created=0, modified=85, completed=9, failed=1))
    half, nine, *others, last = _milestones(ledger.only())
    assert (half.runs, in_seconds(half.reached)) == (5, (15.5, 10, 21, "midpoint"))
    assert (nine.runs, in_seconds(nine.reached)) == (9, (25.5, 20, 31, "midpoint"))
    assert {(one.runs, in_seconds(one.reached)) for one in others} == {(10, (60.5, 30, 91, "midpoint"))}
    assert (last.runs, in_seconds(last.reached)) == (10, (85, 30, 91, "modified_at"))
    # The work began between 0 and 11.
    assert last.elapsed is not None and half.elapsed is not None
    assert (last.elapsed.seconds, last.elapsed.earliest, last.elapsed.latest) == (79.5, 19, 91)
    assert (half.elapsed.seconds, half.elapsed.earliest, half.elapsed.latest) == (10, 0, 21)


def test_the_longest_time_is_known_where_counts_came_late() -> None:
    """Without counts before it nothing bounds the milestone below, but the start is bounded."""
    ledger = Ledger().see(5, body(created=0, total=4, active=True, completed=None))
    ledger.see(20, body(total=4, active=True, completed=2))
    half, *_ = _milestones(ledger.only())
    assert in_seconds(half.reached) == (20, None, 20, "first_sight")
    assert half.elapsed is not None
    assert (half.elapsed.seconds, half.elapsed.earliest, half.elapsed.latest) == (20, None, 20)


def test_the_longest_time_is_unknown_where_our_clock_stepped_back() -> None:
    ledger = Ledger().see(5, body(created=0, running=4)).see(30, body(created=0, running=3, completed=1))
    ledger.see(20, body(created=0, running=2, completed=2))
    half, *_ = _milestones(ledger.only())
    assert in_seconds(half.reached) == (20, None, 20, "first_sight")
    assert half.elapsed is not None
    assert (half.elapsed.seconds, half.elapsed.earliest, half.elapsed.latest) == (20, None, None)


def test_the_runs_of_the_episode_before_do_not_count() -> None:
    ledger = Ledger().see(1, body(completed=4)).see(11, body(running=2, completed=4))
    ledger.cease(15, Action.PAUSED).resume(400).see(401, body(running=1, completed=5))
    first, second = ledger.episodes()
    assert [one.runs for one in _milestones(first)] == [2, 4, 4, 4, 4]
    assert [one.runs for one in _milestones(second)] == [1, 2, 2, 2, 2]
    assert [in_seconds(one.reached) for one in _milestones(second)] == [
        (205.5, 10, 401, "midpoint"),
        *[None] * 4,
    ]


@pytest.mark.parametrize(
    ("total", "runs"), [(None, [None] * 5), (0, [0] * 5), (2**63 - 1, [2**62, *[None] * 4])]
)
def test_odd_numbers_of_runs(total: int | None, runs: list[int | None]) -> None:
    """Without a number there is nothing to reach; the largest one can be stored."""
    status = {"num_task_runs": total, "task_run_status_counts": {"completed": 1}, "is_active": True}
    raw = json.dumps({"taskgroup_id": GROUP, "status": status}).encode()
    found = _milestones(Ledger().see(1, parse_body(raw)).only())
    assert [one.reached for one in found] == [None] * 5
    assert found[0].runs == runs[0]
    assert all(one.runs is None or one.runs < 2**63 for one in found)
