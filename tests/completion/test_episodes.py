"""The starts, ends and counts of episodes."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.completion.episodes import Outcome, RunCounts
from recorder.ledger.entries import Action
from recorder.ledger.response_body import ResponseBody
from tests.support.ledgers import Ledger, body, in_seconds

EMPTY = body()
RUNNING = body(running=3)
DONE = body(completed=3)


def _seeing(*bodies: ResponseBody) -> Ledger:
    """Return a ledger of responses 10 s apart, the first at second 10."""
    ledger = Ledger()
    for number, seen in enumerate(bodies, 1):
        ledger.see(10 * number, seen)
    return ledger


@pytest.mark.parametrize(
    "bodies",
    [
        pytest.param((), id="never seen"),
        pytest.param((EMPTY, EMPTY), id="never started"),
        pytest.param((body(total=3, completed=2),), id="unclear"),
    ],
)
def test_without_work_there_is_no_episode(bodies: tuple[ResponseBody, ...]) -> None:
    assert _seeing(*bodies).episodes() == []


@pytest.mark.parametrize(
    "on_the_way",
    [
        pytest.param(body(action_required=1, completed=2), id="blocked"),
        pytest.param(EMPTY, id="empty"),
        pytest.param(body(total=3, completed=2), id="unclear"),
    ],
)
def test_only_settled_ends_an_episode(on_the_way: ResponseBody) -> None:
    assert _seeing(EMPTY, RUNNING, on_the_way).only().completed is None
    assert _seeing(EMPTY, RUNNING, on_the_way, RUNNING).only().completed is None
    ended = _seeing(EMPTY, RUNNING, on_the_way, DONE).only()
    assert ended.completed is not None
    assert ended.polls == 3


def test_blocked_opens_an_episode() -> None:
    episode = _seeing(EMPTY, body(action_required=1)).only()
    assert episode.censored
    assert in_seconds(episode.started) == (14.5, 9, 20, "midpoint")


def test_an_open_episode_lasts_at_least_as_long_as_it_was_seen() -> None:
    episode = _seeing(EMPTY, RUNNING, RUNNING, body(running=1, completed=2)).only()
    assert episode.censored
    assert (episode.completed, episode.outcome) == (None, None)
    assert episode.duration_seconds == 40 - 14.5
    assert episode.duration_earliest_seconds == 40 - 20
    assert episode.duration_latest_seconds is None
    assert episode.runs == RunCounts(3, 2, None, None)
    assert episode.polls == 3


def test_an_unclear_response_does_not_prolong_an_open_episode() -> None:
    episode = _seeing(EMPTY, RUNNING, RUNNING, body(total=3, completed=2)).only()
    assert episode.duration_seconds == 30 - 14.5
    assert episode.runs == RunCounts(3, None, None, None)
    assert episode.polls == 3


@pytest.mark.parametrize(
    ("later", "episodes"),
    [
        pytest.param(body(completed=3, message="done"), 1, id="another message"),
        pytest.param(body(completed=3, failed=0), 1, id="a count of 0 for none"),
        pytest.param(body(completed=4), 2, id="more completed"),
        pytest.param(body(completed=3, failed=1), 2, id="more failed"),
        pytest.param(body(completed=3, cancelled=1), 2, id="more cancelled"),
        pytest.param(body(completed=2, failed=1), 2, id="other counts of as many runs"),
        pytest.param(body(completed=2), 2, id="fewer"),
    ],
)
def test_settled_after_settled_is_an_episode_if_the_counts_changed(
    later: ResponseBody, episodes: int
) -> None:
    ledger = _seeing(EMPTY, RUNNING, DONE, later)
    assert [episode.number for episode in ledger.episodes()] == list(range(1, episodes + 1))


def test_an_unclear_response_between_two_settled_ones_is_skipped() -> None:
    unclear = body(total=4, completed=3)
    assert len(_seeing(EMPTY, RUNNING, DONE, unclear, DONE).episodes()) == 1
    assert len(_seeing(EMPTY, RUNNING, DONE, unclear, body(completed=4)).episodes()) == 2


def test_runs_added_to_a_settled_group_open_the_next_episode() -> None:
    ledger = _seeing(EMPTY, RUNNING, DONE, DONE, body(completed=3, running=2), body(completed=3, failed=2))
    first, second = ledger.episodes()
    assert (first.number, first.outcome, first.runs) == (1, Outcome.COMPLETED, RunCounts(3, 3, None, None))
    assert (second.number, second.outcome, second.runs) == (2, Outcome.FAILED, RunCounts(5, 3, 2, None))
    assert in_seconds(second.started) == (44.5, 39, 50, "midpoint")
    assert not second.first_sight


def test_settled_after_empty_is_an_unseen_episode() -> None:
    episode = _seeing(EMPTY, DONE).only()
    assert not episode.first_sight
    assert episode.polls == 1
    assert episode.outcome is Outcome.COMPLETED


def test_settled_after_empty_with_counts_too_large_to_report() -> None:
    assert _seeing(EMPTY, body(completed=2**70)).only().runs == RunCounts(None, None, None, None)


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        ({"completed": 3}, Outcome.COMPLETED),
        ({"failed": 3, "completed": 0}, Outcome.FAILED),
        ({"cancelled": 1}, Outcome.CANCELLED),
        ({"completed": 2, "failed": 1}, Outcome.MIXED),
        ({"failed": 2, "cancelled": 1}, Outcome.MIXED),
    ],
)
def test_the_outcome_covers_all_runs(counts: dict[str, Any], outcome: Outcome) -> None:
    assert _seeing(EMPTY, RUNNING, body(**counts)).only().outcome is outcome


@pytest.mark.parametrize(
    ("later", "outcome"),
    [
        pytest.param(body(completed=4, failed=1), Outcome.COMPLETED, id="one more completed"),
        pytest.param(body(completed=3, failed=2), Outcome.FAILED, id="one more failed"),
        pytest.param(body(completed=4, failed=2), Outcome.MIXED, id="one more of both"),
        pytest.param(body(completed=3, failed=1), Outcome.MIXED, id="no run finished since"),
        pytest.param(body(completed=4), Outcome.COMPLETED, id="a failed run completed after all"),
    ],
)
def test_the_outcome_covers_runs_finished_since_the_previous_episode(
    later: ResponseBody, outcome: Outcome
) -> None:
    ledger = _seeing(RUNNING, body(completed=3, failed=1), body(completed=3, failed=1, running=1), later)
    assert [episode.outcome for episode in ledger.episodes()] == [Outcome.MIXED, outcome]


def test_polls_are_counted_from_the_opening_response_to_the_ending_one() -> None:
    ledger = _seeing(EMPTY, EMPTY, RUNNING, RUNNING, body(running=1, completed=2), DONE, DONE, DONE)
    assert ledger.only().polls == 4


def test_an_outage_around_the_end_counts_and_widens_its_bounds() -> None:
    ledger = _seeing(EMPTY, RUNNING).fail(30).fail(60).see(120, DONE)
    episode = ledger.only()
    assert in_seconds(episode.completed) == (69.5, 19, 120, "midpoint")
    assert episode.gap_seconds == 69.5 - 20
    assert episode.polls == 2


def test_an_outage_within_an_episode_counts_in_full() -> None:
    ledger = _seeing(EMPTY, RUNNING).fail(60).see(120, RUNNING).see(130, RUNNING)
    assert ledger.only().gap_seconds == 100
    assert ledger.see(140, DONE).only().gap_seconds == 100
    assert ledger.only().polls == 4


def test_an_outage_around_a_whole_episode_counts_for_its_duration() -> None:
    ledger = _seeing(EMPTY).fail(60).see(120, body(completed=3, modified=100))
    episode = ledger.only()
    assert in_seconds(episode.started) == (64.5, 9, 100, "midpoint")
    assert episode.gap_seconds == episode.duration_seconds == 35.5


def test_an_outage_before_the_first_response_counts_from_the_start() -> None:
    ledger = Ledger().fail(5).see(100, body(running=3, created=40))
    assert ledger.only().gap_seconds == 60


def test_an_outage_before_the_episode_does_not_count() -> None:
    ledger = _seeing(EMPTY).fail(60).see(120, EMPTY).see(130, RUNNING).see(140, DONE)
    assert ledger.only().gap_seconds == 0


@pytest.mark.parametrize("action", [Action.PAUSED, Action.STOPPED, Action.GONE, Action.RETIRED])
def test_an_episode_continues_after_unwatched_time(action: Action) -> None:
    ledger = _seeing(EMPTY, RUNNING, RUNNING).cease(35, action)
    assert ledger.only().duration_seconds == 30 - 14.5
    ledger.resume(500).see(510, RUNNING).see(520, DONE)
    episode = ledger.only()
    assert in_seconds(episode.started) == (14.5, 9, 20, "midpoint")
    assert in_seconds(episode.completed) == (514.5, 509, 520, "midpoint")
    assert (episode.gap_seconds, episode.polls) == (0, 4)


def test_a_group_that_settled_while_unwatched() -> None:
    episode = _seeing(EMPTY, RUNNING).cease(25).resume(500).see(501, body(completed=3, modified=400)).only()
    assert in_seconds(episode.completed) == (400, 19, 501, "modified_at")


def test_the_same_settled_status_after_a_pause_is_not_a_new_episode() -> None:
    assert len(_seeing(EMPTY, RUNNING, DONE).cease(35).resume(500).see(501, DONE).episodes()) == 1


def test_gaps_overlapping_after_a_clock_step_count_at_most_for_the_duration() -> None:
    ledger = _seeing(RUNNING).fail(60).see(110, RUNNING)
    fewer = body(running=2, completed=1)
    episode = ledger.see(20, fewer).fail(30).see(100, fewer).see(130, DONE).only()
    assert episode.gap_seconds == episode.duration_seconds == 104.5
