"""The progress marks of an episode's finishing runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from recorder.completion.progress import MOST_MARKS, ProgressMark, ProgressMarks
from tests.support.ledgers import time
from tests.support.progress import OBSERVATIONS, pace_of


def _counts(pace: ProgressMarks) -> list[int]:
    return [mark.finished for mark in pace.marks]


@given(OBSERVATIONS)
def test_marks_are_few_and_increase_in_time_and_count(
    observations: list[tuple[float, int | None, int | None]],
) -> None:
    marks = pace_of(observations).marks
    assert len(marks) <= MOST_MARKS
    assert [mark.at for mark in marks] == sorted({mark.at for mark in marks})
    assert [mark.finished for mark in marks] == sorted({mark.finished for mark in marks})
    observed = {(time(seconds), finished) for seconds, finished, _ in observations}
    assert all((mark.at, mark.finished) in observed for mark in marks)


@given(OBSERVATIONS)
def test_the_newest_counts_are_kept_unchanged(
    observations: list[tuple[float, int | None, int | None]],
) -> None:
    pace = pace_of(observations)
    assert (pace.finished, pace.total) == (observations[-1][1:] if observations else (None, None))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=300))
def test_the_first_and_the_newest_mark_are_always_kept(steps: list[int]) -> None:
    pace, finished = ProgressMarks().seen(time(0), 3, None), 3
    for number, step in enumerate(steps, 1):
        finished += step
        pace = pace.seen(time(number), finished, None)
    assert pace.marks[0] == ProgressMark(time(0), 3)
    assert pace.marks[-1] == ProgressMark(time(len(steps)), finished)
    assert len(pace.marks) >= min(len(steps) + 1, MOST_MARKS // 2)


def test_every_second_mark_is_dropped_when_there_are_too_many() -> None:
    full = pace_of([(number, number, None) for number in range(MOST_MARKS)])
    assert _counts(full) == list(range(MOST_MARKS))
    thinned = full.seen(time(MOST_MARKS), MOST_MARKS, None)
    assert _counts(thinned) == list(range(0, MOST_MARKS + 1, 2))
    assert _counts(thinned.seen(time(100), 100, None)) == [*range(0, MOST_MARKS + 1, 2), 100]


def test_a_count_that_does_not_rise_adds_no_mark() -> None:
    pace = pace_of([(0, 5, 10), (10, 5, 10), (20, None, 10), (30, 2, 10), (40, -1, 10), (50, 6, None)])
    assert _counts(pace) == [5, 6]
    assert pace.total is None


def test_a_negative_first_count_adds_no_mark() -> None:
    assert pace_of([(0, -1, 10)]).marks == ()


def test_a_time_before_the_newest_mark_adds_no_mark() -> None:
    pace = pace_of([(0, 0, 10), (100, 4, 10), (50, 6, 10)])
    assert _counts(pace) == [0, 4]
    assert _counts(pace.seen(time(110), 7, 10)) == [0, 4, 7]


def test_the_higher_of_two_counts_at_the_same_time_is_kept() -> None:
    pace = pace_of([(0, 0, 10), (0, 4, 10)])
    assert pace.marks == (ProgressMark(time(0), 4),)
    assert pace_of([(0, 0, 10), (5, 6, 10), (5, 8, 10)]).marks[-1] == ProgressMark(time(5), 8)


@given(OBSERVATIONS)
def test_marks_survive_a_json_round_trip(observations: list[tuple[float, int | None, int | None]]) -> None:
    adapter, pace = TypeAdapter(ProgressMarks), pace_of(observations)
    assert adapter.validate_json(adapter.dump_json(pace)) == pace
