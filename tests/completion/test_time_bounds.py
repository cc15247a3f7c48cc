"""The estimated start and end of an episode and their bounds, for all combinations of known times."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.completion.time_bounds import Moment, Window, end_in, start_in, window_of
from tests.support.ledgers import Ledger, body, in_seconds, time

EMPTY = body()


def _first_sight(*, at: float, **seen: Any) -> Ledger:
    return Ledger(at - 2).see(at, body(**seen))


@pytest.mark.parametrize(
    ("known", "started"),
    [
        pytest.param({}, (100, None, 100, "first_sight"), id="nothing known"),
        pytest.param({"modified": 90}, (90, None, 90, "first_sight"), id="updated before"),
        pytest.param({"modified": 101}, (100, None, 100, "first_sight"), id="updated in the future"),
        pytest.param({"created": 40}, (40, 40, 100, "created_at"), id="created"),
        pytest.param({"created": 40, "modified": 90}, (40, 40, 90, "created_at"), id="created, updated"),
        pytest.param(
            {"created": 40, "modified": 30}, (40, 40, 100, "created_at"), id="updated before creation"
        ),
        pytest.param({"created": 101}, (100, None, 100, "first_sight"), id="created in the future"),
    ],
)
def test_start_of_an_episode_first_seen_in_progress(
    known: dict[str, float], started: tuple[object, ...]
) -> None:
    episode = _first_sight(at=100, running=3, **known).only()
    assert in_seconds(episode.started) == started
    assert episode.first_sight


@pytest.mark.parametrize(
    ("known", "started", "completed", "durations"),
    [
        pytest.param(
            {},
            (100, None, 100, "first_sight"),
            (100, None, 100, "first_sight"),
            (0, None, None),
            id="nothing known",
        ),
        pytest.param(
            {"modified": 90},
            (90, None, 90, "first_sight"),
            (90, None, 100, "modified_at"),
            (0, None, None),
            id="updated",
        ),
        pytest.param(
            {"created": 40},
            (40, 40, 100, "created_at"),
            (70, 40, 100, "midpoint"),
            (30, 0, 60),
            id="created",
        ),
        pytest.param(
            {"created": 40, "modified": 90},
            (40, 40, 90, "created_at"),
            (90, 40, 100, "modified_at"),
            (50, 0, 60),
            id="created, updated",
        ),
        pytest.param(
            {"created": 40, "modified": 101},
            (40, 40, 100, "created_at"),
            (70, 40, 100, "midpoint"),
            (30, 0, 60),
            id="updated in the future",
        ),
    ],
)
def test_an_episode_first_seen_after_its_end(
    known: dict[str, float],
    started: tuple[object, ...],
    completed: tuple[object, ...],
    durations: tuple[float, float | None, float | None],
) -> None:
    episode = _first_sight(at=100, completed=3, **known).only()
    assert in_seconds(episode.started) == started
    assert in_seconds(episode.completed) == completed
    assert (
        episode.duration_seconds,
        episode.duration_earliest_seconds,
        episode.duration_latest_seconds,
    ) == durations
    assert episode.first_sight
    assert not episode.censored


@pytest.mark.parametrize(
    ("known", "started"),
    [
        pytest.param({}, (15, 10, 20, "midpoint"), id="nothing known"),
        pytest.param({"modified": 16}, (15, 10, 16, "midpoint"), id="an update bounds it"),
        pytest.param({"modified": 14}, (14, 10, 14, "modified_at"), id="an early update"),
        pytest.param({"modified": 10}, (10, 10, 10, "modified_at"), id="updated at once"),
        pytest.param({"modified": 9}, (15, 10, 20, "midpoint"), id="updated before the window"),
        pytest.param({"modified": 21}, (15, 10, 20, "midpoint"), id="updated after the window"),
        pytest.param({"created": 12}, (16, 12, 20, "midpoint"), id="created in the window"),
        pytest.param({"created": 12, "modified": 11}, (16, 12, 20, "midpoint"), id="updated, then created"),
        pytest.param({"created": 21}, (15, 10, 20, "midpoint"), id="created in the future"),
    ],
)
def test_start_between_two_observations(known: dict[str, float], started: tuple[object, ...]) -> None:
    ledger = Ledger().see(5, EMPTY).see(11, EMPTY, asked=10).see(20, body(running=3, **known))
    episode = ledger.only()
    assert in_seconds(episode.started) == started
    assert not episode.first_sight


@pytest.mark.parametrize(
    ("known", "completed", "durations"),
    [
        pytest.param({}, (35, 30, 40, "midpoint"), (20, 10, 30), id="nothing known"),
        pytest.param({"modified": 38}, (38, 30, 40, "modified_at"), (23, 10, 30), id="updated"),
        pytest.param({"modified": 30}, (30, 30, 40, "modified_at"), (15, 10, 30), id="updated first thing"),
        pytest.param({"modified": 40}, (40, 30, 40, "modified_at"), (25, 10, 30), id="updated last thing"),
        pytest.param({"modified": 29}, (35, 30, 40, "midpoint"), (20, 10, 30), id="updated before"),
        pytest.param({"modified": 41}, (35, 30, 40, "midpoint"), (20, 10, 30), id="updated in the future"),
    ],
)
def test_end_between_two_observations(
    known: dict[str, float],
    completed: tuple[object, ...],
    durations: tuple[float, float | None, float | None],
) -> None:
    ledger = Ledger().see(11, EMPTY, asked=10).see(20, body(running=3)).see(31, body(running=3), asked=30)
    episode = ledger.see(40, body(completed=3, **known)).only()
    assert in_seconds(episode.completed) == completed
    assert (
        episode.duration_seconds,
        episode.duration_earliest_seconds,
        episode.duration_latest_seconds,
    ) == durations


@pytest.mark.parametrize(
    ("known", "started", "completed"),
    [
        pytest.param({}, (15, 10, 20, "midpoint"), (15, 10, 20, "midpoint"), id="nothing known"),
        pytest.param(
            {"modified": 18}, (15, 10, 18, "midpoint"), (18, 10, 20, "modified_at"), id="the end is known"
        ),
    ],
)
def test_an_episode_between_two_observations(
    known: dict[str, float], started: tuple[object, ...], completed: tuple[object, ...]
) -> None:
    episode = Ledger().see(11, EMPTY, asked=10).see(20, body(completed=3, **known)).only()
    assert in_seconds(episode.started) == started
    assert in_seconds(episode.completed) == completed
    assert (episode.duration_earliest_seconds, episode.duration_latest_seconds) == (0, 10)
    assert not episode.first_sight


def test_an_unclear_response_bounds_nothing() -> None:
    unclear = body(running=3, active=False)
    ledger = Ledger().see(11, EMPTY, asked=10).see(15, unclear).see(20, body(running=3))
    ledger.see(31, body(running=3), asked=30).see(35, unclear).see(40, body(completed=3))
    episode = ledger.only()
    assert in_seconds(episode.started) == (15, 10, 20, "midpoint")
    assert in_seconds(episode.completed) == (35, 30, 40, "midpoint")


def test_an_unclear_first_response_does_not_show_the_start() -> None:
    episode = Ledger().see(5, body(running=3, active=False)).see(15, body(running=3, created=-100)).only()
    assert in_seconds(episode.started) == (-100, -100, 15, "created_at")
    assert episode.first_sight


@pytest.mark.parametrize(
    ("known", "completed"),
    [
        pytest.param({}, (40, None, 40, "first_sight"), id="nothing known"),
        pytest.param({"created": -1000}, (40, None, 40, "first_sight"), id="created"),
        pytest.param({"modified": 38}, (38, None, 40, "modified_at"), id="updated"),
    ],
)
def test_an_end_has_no_lower_bound_after_the_clock_stepped_back(
    known: dict[str, float], completed: tuple[float, float | None, float, str]
) -> None:
    ledger = Ledger().see(11, EMPTY, asked=10).see(20, body(running=3)).see(3000, body(running=3))
    episode = ledger.see(40, body(completed=3, **known)).only()
    assert in_seconds(episode.completed) == completed
    assert (episode.duration_earliest_seconds, episode.duration_latest_seconds) == (None, None)
    assert episode.duration_seconds == completed[0] - 15
    assert not episode.first_sight


def test_durations_are_not_negative_after_the_clock_stepped_back() -> None:
    ledger = Ledger().see(3000, EMPTY).see(3010, body(running=3)).see(40, body(completed=3))
    episode = ledger.only()
    assert episode.duration_seconds == 0
    assert episode.polls == 2


def test_durations_are_not_negative_if_a_midpoint_is_after_the_end() -> None:
    ledger = Ledger().see(1, EMPTY, asked=0).see(20, body(running=3), asked=2)
    episode = ledger.see(25, body(completed=3, modified=4), asked=21).only()
    assert in_seconds(episode.started) == (10, 0, 20, "midpoint")
    assert in_seconds(episode.completed) == (4, 2, 25, "modified_at")
    assert (
        episode.duration_seconds,
        episode.duration_earliest_seconds,
        episode.duration_latest_seconds,
    ) == (0, 0, 25)


_OFFSETS = st.lists(st.integers(0, 10**8), min_size=6, max_size=6)
_MAYBE = st.booleans()


def _moments(offsets: list[int]) -> list[datetime]:
    """Return times separated by the given microseconds."""
    return [time(0) + timedelta(microseconds=offset) for offset in accumulate(offsets)]


def _window(
    before: datetime, observed: datetime, *, seen: bool, created: datetime | None, modified: datetime | None
) -> Window:
    return window_of(before if seen else None, observed, created_at=created, modified_at=modified)


def _contains(moment: Moment, truth: datetime) -> bool:
    """Whether both the truth and the estimate are within the bounds."""
    inside = (truth, moment.at)
    return (moment.earliest is None or moment.earliest <= min(inside)) and max(inside) <= moment.latest


@given(_OFFSETS, _MAYBE, _MAYBE, _MAYBE)
def test_the_start_is_within_its_bounds_with_an_honest_upstream(
    offsets: list[int], seen: bool, has_created: bool, has_modified: bool
) -> None:
    """The group is created before or after the earlier poll; the last update is at the start or later."""
    first, second, start, updated, _, observed = _moments(offsets)
    for asked, created in ((first, second), (second, first)):
        window = _window(
            asked,
            observed,
            seen=seen,
            created=created if has_created else None,
            modified=updated if has_modified else None,
        )
        assert _contains(start_in(window), start)


@given(_OFFSETS, _MAYBE, _MAYBE, _MAYBE)
def test_the_end_is_within_its_bounds_with_an_honest_upstream(
    offsets: list[int], seen: bool, has_created: bool, has_modified: bool
) -> None:
    """The last update is the end itself, in which case the estimate is exact."""
    first, second, end, *_, observed = _moments(offsets)
    for asked, created in ((first, second), (second, first)):
        window = _window(
            asked,
            observed,
            seen=seen,
            created=created if has_created else None,
            modified=end if has_modified else None,
        )
        assert _contains(end_in(window), end)
        assert not has_modified or end_in(window).at == end
