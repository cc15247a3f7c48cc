"""The bounds of episodes always contain the truth in thousands of simulated groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pytest

from recorder.completion.episodes import Episode, Outcome
from recorder.completion.time_bounds import Basis, Moment
from recorder.ledger.entries import Gap, StatusContent, WatchChange
from recorder.simulator.runs import PROCESSOR_SECONDS, RunStatus, RunStep
from tests.support.ledgers import time
from tests.support.simulated_groups import Batch, Case, Stretch, draw_case, stretches_of

pytestmark = pytest.mark.slow


GROUPS = 500
"""The number of groups drawn for each processor."""


@dataclass(frozen=True)
class Matched:
    """An episode with the stretches of work that it covers."""

    name: str
    episode: Episode
    work: list[Stretch]
    longest_delay: float

    @property
    def truth_seconds(self) -> float | None:
        start, end = self.work[0].start, self.work[-1].end
        return None if end is None else (end - start).total_seconds()


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [draw_case(processor, seed) for processor in PROCESSOR_SECONDS for seed in range(GROUPS)]


@pytest.fixture(scope="module")
def matched(cases: list[Case]) -> list[Matched]:
    return [each for case in cases for each in _match(case)]


@pytest.fixture(scope="module")
def ended(matched: list[Matched]) -> list[Matched]:
    return [each for each in matched if not each.episode.censored]


def _match(case: Case) -> Iterator[Matched]:
    """Match episodes with stretches of work, by the runs in their counts.

    Stretches that no response separated are one episode.
    """
    done = 0
    for episode in case.recording.ledger.episodes():
        runs = episode.runs.total or 0
        work = [each for each in case.stretches if done < each.runs and each.runs_before < runs]
        done = work[-1].runs
        yield Matched(f"{case.name} episode {episode.number}", episode, work, case.recording.longest_delay)


def _contains(moment: Moment | None, truth: datetime | None) -> bool:
    assert moment is not None
    assert truth is not None
    return (moment.earliest is None or moment.earliest <= truth) and truth <= moment.latest


def test_every_start_lies_within_its_bounds(matched: list[Matched]) -> None:
    assert [each.name for each in matched if not _contains(each.episode.started, each.work[0].start)] == []


def test_every_end_lies_within_its_bounds(ended: list[Matched]) -> None:
    assert [each.name for each in ended if not _contains(each.episode.completed, each.work[-1].end)] == []


def test_every_duration_lies_within_its_bounds(ended: list[Matched]) -> None:
    assert [each.name for each in ended if not _bounds_duration(each)] == []


def _bounds_duration(matched: Matched) -> bool:
    truth = matched.truth_seconds
    assert truth is not None
    shortest, longest = matched.episode.duration_earliest_seconds, matched.episode.duration_latest_seconds
    return (shortest is None or shortest <= truth) and (longest is None or truth <= longest)


def test_an_end_that_rests_on_modified_at_is_exact(ended: list[Matched]) -> None:
    ends = [(each, each.episode.completed) for each in ended]
    exact = [(each, end.at) for each, end in ends if end and end.basis is Basis.MODIFIED_AT]
    assert len(exact) > GROUPS
    assert [each.name for each, at in exact if at != each.work[-1].end] == []


def test_open_work_lasts_at_least_as_long_as_it_was_seen(matched: list[Matched]) -> None:
    """The delay of the last response is allowed for, since the response describes the time it was sent."""
    open_work = [each for each in matched if each.episode.censored]
    assert [each.name for each in open_work if not _outlasts(each)] == []


def test_every_milestone_lies_within_its_bounds(cases: list[Case]) -> None:
    found = [(case.name, contains) for case in cases for contains in _milestones_contain(case)]
    assert len(found) > 5 * GROUPS
    assert [name for name, contains in found if not contains] == []


def _milestones_contain(case: Case) -> Iterator[bool]:
    """Yield whether the bounds of each milestone that was reached contain the truth."""
    before = 0
    for episode in case.recording.ledger.episodes():
        for milestone in episode.milestones or ():
            if milestone.reached is not None and milestone.runs is not None:
                truth = case.finishes[before + milestone.runs - 1]
                exact = milestone.reached.basis is not Basis.MODIFIED_AT or milestone.reached.at == truth
                yield _contains(milestone.reached, truth) and (exact or episode.censored)
        before = episode.runs.total or 0


def _outlasts(matched: Matched) -> bool:
    truth, shortest = matched.truth_seconds, matched.episode.duration_earliest_seconds
    assert shortest is not None
    return truth is None or shortest - matched.longest_delay <= truth


def test_visible_work_is_covered_exactly_once(cases: list[Case]) -> None:
    for case in cases:
        shown = [each for each in case.stretches if each.runs_before < case.recording.shown]
        assert [each for matched in _match(case) for each in matched.work] == shown, case.name


def test_outcomes_match_the_runs(ended: list[Matched]) -> None:
    for each in ended:
        statuses = {status for stretch in each.work for status in stretch.statuses}
        outcome = Outcome(statuses.pop().value) if len(statuses) == 1 else Outcome.MIXED
        assert each.episode.outcome is outcome, each.name


def test_every_kind_of_history_occurs(cases: list[Case], matched: list[Matched]) -> None:
    kinds = Counter(kind for each in matched for kind in _kinds(each))
    kinds.update(kind for case in cases for kind in _marks(case))
    everything = {
        *(f"start {basis}" for basis in Basis if basis is not Basis.MODIFIED_AT),
        *(f"end {basis}" for basis in Basis if basis is not Basis.CREATED_AT),
        *("open", "first sight", "unseen", "gap", "later", "several stretches", "never ends"),
        *("active", "blocked", "empty", "settled", "paused", "stopped", "resumed", "gone", "gap"),
    }
    assert {kind for kind in everything if kinds[kind] < 50} == set()


def _kinds(matched: Matched) -> Iterator[str]:
    episode = matched.episode
    yield f"start {episode.started.basis}"
    yield "open" if episode.completed is None else f"end {episode.completed.basis}"
    holds = {
        "first sight": episode.first_sight,
        "unseen": episode.polls == 1 and not episode.first_sight and not episode.censored,
        "gap": episode.gap_seconds > 0,
        "later": episode.number > 1,
        "several stretches": len(matched.work) > 1,
        "never ends": matched.truth_seconds is None,
    }
    yield from (kind for kind, true in holds.items() if true)


def _marks(case: Case) -> Iterator[str]:
    for entry in case.recording.ledger.entries:
        match entry.content:
            case StatusContent(fields=fields):
                yield fields.phase.value
            case Gap():
                yield "gap"
            case WatchChange(action=action):
                yield action.value


def _batch(added: float, *lengths: float, last: RunStatus = RunStatus.COMPLETED) -> Batch:
    start = RunStep(0, RunStatus.QUEUED)
    return Batch(time(added), tuple((start, RunStep(length, last)) for length in lengths))


def test_stretches_of_an_example() -> None:
    failed, waits = RunStatus.FAILED, RunStatus.ACTION_REQUIRED
    completed = RunStatus.COMPLETED
    batches = [_batch(0, 5, 10), _batch(4, 2), _batch(20, 5, last=failed), _batch(24, 1, 9), _batch(50, 1)]
    assert stretches_of(batches) == [
        Stretch(time(0), time(10), 0, 3, frozenset({completed})),
        Stretch(time(20), time(33), 3, 6, frozenset({completed, failed})),
        Stretch(time(50), time(51), 6, 7, frozenset({completed})),
    ]
    batches = [_batch(0, 5, last=waits), _batch(20, 5)]
    assert stretches_of(batches) == [Stretch(time(0), None, 0, 2, frozenset({completed, waits}))]
