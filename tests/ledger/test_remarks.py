"""Notes and expectations: entries that leave everything else as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given

from recorder.completion.dwell import dwell_of
from recorder.ledger.entries import Action, Expectation, Gap, Kind, WatchChange
from recorder.ledger.transitions import open_gap
from recorder.ledger.watch import WatchState
from tests.support.bodies import RUNNING, moment
from tests.support.ledgers import Ledger
from tests.support.records import made_record
from tests.support.stories import DUE_AT, GAP_AT, INTERVAL, SEEN, Story, seen_at_100
from tests.support.strategies import Event, events, ledger_of


def test_a_note_ends_the_interval_and_the_next_response_is_written_anew() -> None:
    story = seen_at_100()
    (noted,) = story.note(105, "a large batch")
    assert noted.content == WatchChange(Action.NOTED, "ann", "a large batch")
    assert noted.previous is not None and noted.previous.last_seen_at == moment(SEEN)
    (status,) = story.answer(DUE_AT, RUNNING)
    assert (status.kind, status.previous) == (Kind.STATUS, None)
    story.answer(DUE_AT + INTERVAL, RUNNING)
    assert story.kinds == [Kind.WATCH, Kind.STATUS, Kind.WATCH, Kind.STATUS]


def test_a_note_moves_no_time_and_keeps_the_failures() -> None:
    story = seen_at_100()
    story.fail(DUE_AT, retry=115)
    before = story.watch
    story.note(112)
    after = story.watch
    assert after == replace(before, head=after.head, open=None, earlier_sight=moment(SEEN))
    assert after.sight_at == before.sight_at == moment(SEEN)


def test_a_gap_begins_at_the_last_response_whatever_was_noted_since() -> None:
    story = seen_at_100()
    story.note(120)
    assert open_gap(story.watch, moment(GAP_AT)) is None
    story.expect(GAP_AT + 5, runs=3)
    gap = open_gap(story.watch, moment(GAP_AT + 6))
    assert gap is not None and gap.from_ == moment(SEEN)
    closed, status = story.answer(200, RUNNING)
    assert isinstance(closed.content, Gap) and closed.content.from_ == moment(SEEN)
    assert (status.kind, story.watch.earlier_sight) == (Kind.STATUS, None)


def test_a_note_on_a_group_that_is_not_watched() -> None:
    story = seen_at_100()
    story.pause(105)
    story.note(110)
    assert story.watch.state is WatchState.PAUSED
    assert story.watch.due_at is None and story.watch.sight_at == moment(105)


def test_what_is_expected_is_in_the_record_of_that_action_alone() -> None:
    story = Story()
    (expected,) = story.expect(1, runs=500, by=moment(90))
    watch = made_record(expected)["watch"]
    assert watch == {
        "action": "expected",
        "actor": "ann",
        "note": None,
        "expect": {"runs": 500, "by": "2026-11-24T12:01:30.000000Z"},
    }
    (noted,) = story.note(2, "hello")
    assert made_record(noted)["watch"] == {"action": "noted", "actor": "ann", "note": "hello"}
    assert made_record(story.entries[0])["watch"] == {"action": "started", "actor": "ann", "note": None}


def test_what_is_not_given_stays_as_it_was() -> None:
    story = Story()
    story.expect(1, runs=500)
    story.expect(2, by=moment(90))
    assert story.watch.expected == Expectation(500, moment(90))
    (taken_back,) = story.expect(3, runs=None)
    assert isinstance(taken_back.content, WatchChange)
    assert taken_back.content.expect == story.watch.expected == Expectation(None, moment(90))


def test_what_is_expected_already_writes_no_entry() -> None:
    story = Story()
    assert story.expect(1, runs=None, by=None) == ()
    assert len(story.expect(2, runs=500)) == 1
    assert story.expect(3, runs=500) == ()
    assert story.expect(4, by=None) == ()
    story.answer(5)
    story.pause(6)
    assert story.watch.expected == Expectation(500, None)


@given(events(steps_back=False, remarks=True))
def test_remarks_change_no_figure(happened: list[Event]) -> None:
    """Without them, the same responses give the same gaps, episodes, times and due times."""
    said = {"note", "expect"}
    silent = [replace(event, what="nothing") if event.what in said else event for event in happened]
    one, other = ledger_of(happened), ledger_of(silent)
    assert one.episodes() == other.episodes()
    assert _gaps(one) == _gaps(other)
    assert _times(one) == _times(other)
    mine, others = one.watch, other.watch
    assert (mine.state, mine.sight_at, mine.failures) == (others.state, others.sight_at, others.failures)
    due = [(watch.due_at, watch.gap_at, watch.poll_due_at) for watch in (mine, others)]
    assert due[0] == due[1]


def _gaps(ledger: Ledger) -> list[Gap]:
    return [entry.content for entry in ledger.entries if isinstance(entry.content, Gap)]


def _times(ledger: Ledger) -> tuple[Any, ...]:
    dwell = dwell_of(ledger.entries, ledger.watch.open)
    return dwell.phase_seconds(), dwell.run_seconds(), dwell.coverage()
