"""When gaps are written, and their contents, as a function of `due_at`, the grace after it and the lease.

In these stories, the window between `due_at` and `gap_at` is 30 s, a poll is due 10 s after a response, and
`started` is at 0. After a response at 100, the next poll is due at 110 and sight is lost after 140.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from recorder.ledger.entries import Gap, Interval
from recorder.ledger.poll_outcome import Cause
from tests.support.bodies import FURTHER, moment
from tests.support.stories import DUE_AT, GAP_AT, SEEN, Story, seen_at_100


@pytest.mark.parametrize("received", [111, 125, 139.999999, GAP_AT])
@pytest.mark.parametrize("failures", [[], [110], [110, 115, 120]])
def test_response_by_gap_at_prevents_a_gap(received: float, failures: list[float]) -> None:
    story = seen_at_100()
    for asked in failures:
        story.fail(asked)
    assert story.answer(received) == ()
    assert story.watch.open == Interval(moment(received), moment(received), 3)


@pytest.mark.parametrize("received", [GAP_AT + 0.000001, 141, 5000])
def test_response_after_gap_at_writes_a_gap_before_it(received: float) -> None:
    story = seen_at_100()
    gap, status = story.answer(received)
    assert (gap.kind, status.kind) == ("gap", "status")
    assert gap.at == status.at == moment(received)
    assert isinstance(gap.content, Gap)
    assert (gap.content.from_, gap.content.to) == (moment(SEEN), moment(received))
    assert gap.previous == Interval(moment(SEEN), moment(SEEN), 2)
    assert status.previous is None


def test_gap_is_written_before_a_changed_status_too() -> None:
    story = seen_at_100()
    story.answer(141, FURTHER)
    assert story.kinds == ["watch", "status", "gap", "status"]


def test_status_after_a_gap_is_extended_like_any_other() -> None:
    story = seen_at_100()
    story.answer(141)
    assert story.answer(151) == ()
    assert story.watch.open == Interval(moment(151), moment(151), 2)


def test_the_time_of_the_response_decides_not_that_of_the_request() -> None:
    story = seen_at_100()
    gap, _ = story.answer(141, asked=110)
    assert isinstance(gap.content, Gap)
    assert gap.content.unpolled_seconds == 0


def test_failures_move_neither_due_at_nor_gap_at() -> None:
    story = seen_at_100()
    for asked in (110, 125, 150, 400):
        story.fail(asked)
        assert (story.watch.due_at, story.watch.gap_at) == (moment(DUE_AT), moment(GAP_AT))


def test_failures_write_nothing() -> None:
    story = seen_at_100()
    assert [story.fail(asked) for asked in (110, 125, 150, 400)] == [()] * 4


def test_gap_of_failures_has_their_details() -> None:
    story = seen_at_100()
    story.fail(110, Cause.SERVER_ERROR, http_status=500, detail="first", retry=120)
    story.fail(120, Cause.SERVER_ERROR, http_status=503, detail="last", retry=150)
    story.answer(150)
    assert story.gaps == [
        Gap(moment(SEEN), moment(150), Cause.SERVER_ERROR, 2, 0, 503, "last"),
    ]


def test_gap_from_started() -> None:
    story = Story()
    story.fail(0, retry=31)
    story.answer(31)
    assert story.kinds == ["watch", "gap", "status"]
    assert (story.gaps[0].from_, story.gaps[0].to) == (moment(0), moment(31))


def test_first_poll_after_started_is_late() -> None:
    story = Story()
    assert (story.watch.due_at, story.watch.gap_at) == (moment(0), moment(30))
    story.answer(100)
    assert story.gaps == [Gap(moment(0), moment(100), Cause.NOT_POLLED, 0, 100, None, None)]


def test_first_poll_after_started_by_gap_at_prevents_a_gap() -> None:
    story = Story()
    story.answer(30)
    assert story.kinds == ["watch", "status"]


U, T, R, S, N = (
    Cause.UNREACHABLE,
    Cause.TIMEOUT,
    Cause.RATE_LIMITED,
    Cause.SERVER_ERROR,
    Cause.NOT_FOUND,
)


@pytest.mark.parametrize(
    ("causes", "cause", "detail"),
    [
        ([U], U, "0"),
        ([U, T], T, "1"),
        ([T, U], U, "1"),
        ([U, T, U], U, "2"),
        ([T, U, U], U, "2"),
        ([U, U, T], U, "1"),
        ([U, T, T, U], U, "3"),
        ([U, U, T, T], T, "3"),
        ([U, T, R, S], S, "3"),
        ([S, U, T, S, U, R], U, "4"),
        ([N, N, U], N, "1"),
    ],
)
def test_cause_is_the_most_frequent_failure_or_the_last_on_a_tie(
    causes: Sequence[Cause], cause: Cause, detail: str
) -> None:
    story = seen_at_100()
    for number, met in enumerate(causes):
        asked = 110 + 10 * number
        story.fail(asked, met, http_status=400 + number, detail=str(number), retry=asked + 10)
    story.answer(asked + 50, asked=asked + 10)
    (gap,) = story.gaps
    assert (gap.cause, gap.attempts, gap.detail) == (cause, len(causes), detail)
    assert gap.http_status == 400 + int(detail)


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.NOT_POLLED])
def test_every_failure_can_be_a_cause(cause: Cause) -> None:
    story = seen_at_100()
    story.fail(110, cause, retry=150)
    story.answer(150)
    assert story.gaps[0].cause is cause


@pytest.mark.parametrize(
    ("late", "cause"), [(0, Cause.UNREACHABLE), (50, Cause.UNREACHABLE), (50.000001, Cause.NOT_POLLED)]
)
def test_unpolled_for_more_than_half_of_the_gap(late: float, cause: Cause) -> None:
    story = seen_at_100()
    story.fail(110, detail="refused", retry=200 - late)
    story.answer(200)
    (gap,) = story.gaps
    assert (gap.cause, gap.attempts, gap.unpolled_seconds) == (cause, 1, late)
    assert gap.detail == ("refused" if cause is Cause.UNREACHABLE else None)


def test_unpolled_seconds_sum_the_lateness_of_every_poll() -> None:
    story = seen_at_100()
    story.fail(112, ended=120, retry=125)  # 2 s late
    story.fail(124, ended=130, retry=135)  # early: adds no lateness and offsets none
    story.fail(135.5, ended=136, retry=150)  # 0.5 s late
    story.answer(158, asked=154.25)  # 4.25 s late
    (gap,) = story.gaps
    assert (gap.unpolled_seconds, gap.attempts, gap.cause) == (6.75, 3, Cause.UNREACHABLE)


def test_unpolled_seconds_are_free_of_float_noise() -> None:
    story = seen_at_100()
    for asked in (110.1, 120.1, 130.1):
        story.fail(asked, retry=asked + 9.9)
    story.answer(150.1, asked=140.1)
    assert story.gaps[0].unpolled_seconds == 0.4


def test_lateness_of_one_gap_is_not_carried_into_the_next() -> None:
    story = seen_at_100()
    story.fail(115, retry=150)
    story.answer(150)
    story.fail(160, Cause.TIMEOUT, retry=300, detail="slow")
    story.answer(300)
    assert story.gaps[1] == Gap(moment(150), moment(300), Cause.TIMEOUT, 1, 0, None, "slow")


def test_failures_before_a_timely_response_do_not_count_later() -> None:
    story = seen_at_100()
    story.fail(110, Cause.TIMEOUT)
    story.fail(115, Cause.TIMEOUT)
    story.answer(120)
    story.fail(130, Cause.SERVER_ERROR, retry=200)
    story.answer(200)
    assert (story.gaps[0].cause, story.gaps[0].attempts) == (Cause.SERVER_ERROR, 1)


# Restarts: nobody polls from the last response until the recorder is back. Whether its lease has expired in
# the meantime does not affect gaps: only the time of the next poll matters.


@pytest.mark.parametrize(("lease", "gap"), [(5, False), (15, False), (29.5, False), (30, True), (45, True)])
def test_an_expired_lease_moves_neither_due_at_nor_gap_at(lease: float, gap: bool) -> None:
    """A recorder dies after a claim, and another one polls when the lease has expired."""
    story = seen_at_100()
    polled = DUE_AT + lease
    story.answer(polled + 0.5, asked=polled)
    assert bool(story.gaps) is gap


def test_restart_shorter_than_the_grace_is_not_a_gap() -> None:
    story = seen_at_100()
    assert story.answer(135) == ()
    assert story.watch.open == Interval(moment(135), moment(135), 3)


def test_restart_shorter_than_the_grace_with_a_failure_is_not_a_gap() -> None:
    story = seen_at_100()
    story.fail(132, retry=136)
    assert (story.watch.due_at, story.watch.gap_at) == (moment(DUE_AT), moment(GAP_AT))
    assert story.answer(136) == ()


def test_restart_longer_than_the_grace_is_a_gap_for_not_polling() -> None:
    story = seen_at_100()
    story.answer(1000)
    assert story.gaps == [Gap(moment(SEEN), moment(1000), Cause.NOT_POLLED, 0, 890, None, None)]


def test_restart_longer_than_the_grace_amid_failures() -> None:
    story = seen_at_100()
    story.fail(110, retry=115)
    story.answer(1000)
    (gap,) = story.gaps
    assert (gap.cause, gap.attempts, gap.unpolled_seconds) == (Cause.NOT_POLLED, 1, 885)
