"""Replaying a ledger reproduces what was derived when it was written."""

from __future__ import annotations

from hypothesis import given

from recorder.ledger.entries import StatusContent
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.replay import Replay, derive_status, replay_entry
from recorder.ledger.watch import WatchState
from tests.support.ledgers import Ledger, body
from tests.support.strategies import ledgers


def _replayed(ledger: Ledger) -> Replay:
    replay = Replay()
    for entry in ledger.entries:
        content = entry.content
        if isinstance(content, StatusContent):
            derived = derive_status(replay, entry.taskgroup_id, content.body, entry.at, entry.previous)
            assert derived == content
        replay = replay_entry(replay, entry)
    return replay


@given(ledgers(steps_back=True, remarks=True))
def test_status_entries_and_the_watch_are_derived_again(ledger: Ledger) -> None:
    replay, watch = _replayed(ledger), ledger.watch
    assert (replay.head, replay.state, replay.in_force) == (watch.head, watch.state, watch.in_force)
    assert (replay.expected, replay.earlier_sight) == (watch.expected, watch.earlier_sight)


def test_a_group_that_comes_back_after_the_clock_was_set_back() -> None:
    """The response resumes the watch, although it is older than the last one seen."""
    ledger = Ledger().see(0, body(running=1))
    for at in (10, 500, 1000):
        ledger.fail(at, Cause.NOT_FOUND)
    assert ledger.watch.state is WatchState.GONE
    ledger.see(400, body(running=1))
    assert _replayed(ledger).in_force == ledger.watch.in_force
    newest = ledger.entries[-1].content
    assert isinstance(newest, StatusContent) and "clock_regressed" in newest.anomalies


def test_times_are_compared_across_responses_without_them() -> None:
    ledger = Ledger().see(0, body(completed=3, running=1, modified=-5))
    ledger.see(10, body(completed=3, running=1)).see(20, body(completed=3, running=1, modified=-9))
    newest = ledger.entries[-1].content
    assert isinstance(newest, StatusContent) and newest.anomalies == ("modified_at_regressed",)
    assert _replayed(ledger).in_force == ledger.watch.in_force
