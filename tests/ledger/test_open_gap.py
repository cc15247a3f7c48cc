"""The open gap that readers show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recorder.ledger.entries import Gap
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.transitions import open_gap
from tests.support.bodies import moment
from tests.support.stories import GAP_AT, SEEN, Story, seen_at_100


@pytest.mark.parametrize(("now", "shown"), [(SEEN, False), (GAP_AT, False), (GAP_AT + 0.000001, True)])
def test_open_gap_shows_after_gap_at(now: float, shown: bool) -> None:
    assert (open_gap(seen_at_100().watch, moment(now)) is not None) is shown


def test_open_gap_has_the_details_known_so_far() -> None:
    story = seen_at_100()
    story.fail(112, Cause.SERVER_ERROR, http_status=502, detail="bad gateway")
    gap = open_gap(story.watch, moment(141))
    assert gap == Gap(moment(SEEN), None, Cause.SERVER_ERROR, 1, 2, 502, "bad gateway")


def test_open_gap_without_a_poll() -> None:
    gap = open_gap(seen_at_100().watch, moment(5000))
    assert gap is not None
    assert (gap.from_, gap.to, gap.cause, gap.attempts) == (moment(SEEN), None, Cause.NOT_POLLED, 0)


def test_open_gap_before_the_first_response() -> None:
    gap = open_gap(Story().watch, moment(31))
    assert gap is not None
    assert gap.from_ == moment(0)


def test_open_gap_does_not_depend_on_the_time_of_the_query() -> None:
    story = seen_at_100()
    story.fail(170, Cause.SERVER_ERROR, http_status=500, detail="oops")  # 60 s late
    assert open_gap(story.watch, moment(180)) == open_gap(story.watch, moment(5000))


def test_no_open_gap_while_not_watched() -> None:
    story = seen_at_100()
    story.pause(110)
    assert open_gap(story.watch, moment(5000)) is None


def test_no_open_gap_once_it_is_closed() -> None:
    story = seen_at_100()
    story.answer(150)
    assert open_gap(story.watch, moment(150)) is None


def test_no_open_gap_without_due_at_and_gap_at() -> None:
    assert open_gap(replace(seen_at_100().watch, due_at=None, gap_at=None), moment(5000)) is None
