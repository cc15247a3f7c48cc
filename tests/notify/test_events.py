"""The events that follow from entries."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.completion.episode_json import episode_members
from recorder.completion.summary import NOTHING, summarize
from recorder.ledger.entries import Action
from recorder.ledger.poll_outcome import Cause
from recorder.notify.events import Event, events_of
from tests.support.event_oracle import expected_events
from tests.support.ledgers import Ledger, body, time
from tests.support.strategies import ledgers

EMPTY, RUNNING, DONE = body(), body(running=3), body(completed=3)
BLOCKED = body(action_required=1, completed=2)


def _events(ledger: Ledger) -> list[Event]:
    return list(events_of(NOTHING, ledger.entries))


def _told(ledger: Ledger) -> list[tuple[str, int | None]]:
    return [(event.type.value, event.seq) for event in _events(ledger)]


@given(ledgers(steps_back=True))
def test_events_equal_those_found_by_looking_at_every_prefix(ledger: Ledger) -> None:
    told = [(event.type.value, event.subject, event.seq) for event in _events(ledger)]
    assert sorted(told) == sorted(expected_events(ledger.entries))


@given(ledgers(steps_back=True))
def test_every_episode_starts_once_and_settles_at_most_once_in_order(ledger: Ledger) -> None:
    events = [event for event in _events(ledger) if event.type in {"group.started", "group.settled"}]
    numbers = [(event.data["number"], event.type.value) for event in events]
    episodes = ledger.episodes()
    assert numbers == [
        (episode.number, kind)
        for episode in episodes
        for kind in ("group.started", *([] if episode.completed is None else ["group.settled"]))
    ]
    settled = [event.data for event in events if event.type == "group.settled"]
    ended = [episode_members(episode) for episode in episodes if episode.completed is not None]
    assert [
        {name: data[name] for name in members} for data, members in zip(settled, ended, strict=True)
    ] == ended


@given(ledgers(steps_back=True), st.data())
def test_events_are_the_same_however_the_entries_are_divided(ledger: Ledger, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(ledger.entries)))
    before, _ = summarize(NOTHING, ledger.entries[:cut])
    parts = [*events_of(NOTHING, ledger.entries[:cut]), *events_of(before, ledger.entries[cut:])]
    assert parts == _events(ledger)


@given(ledgers(steps_back=True))
def test_no_two_events_have_the_same_key(ledger: Ledger) -> None:
    keys = Counter((event.type, event.subject) for event in _events(ledger))
    assert all(count == 1 for count in keys.values()), keys


@given(ledgers(steps_back=True))
def test_every_event_names_its_group_and_entry(ledger: Ledger) -> None:
    times = {entry.seq: entry.at for entry in ledger.entries}
    for event in _events(ledger):
        assert event.seq is not None
        assert (event.data["taskgroup_id"], event.data["seq"]) == (event.taskgroup_id, event.seq)
        assert event.at == times[event.seq]


def test_an_episode_that_came_and_went_unseen_has_both_events() -> None:
    ledger = Ledger().see(10, EMPTY).see(20, DONE)
    assert _told(ledger) == [("group.started", 3), ("group.settled", 3)]


def test_a_blockade_is_told_once_in_spite_of_gaps_and_pauses() -> None:
    ledger = Ledger().see(10, RUNNING).see(20, BLOCKED)
    ledger.fail(30).see(200, BLOCKED).cease(210).resume(220).see(230, BLOCKED)
    assert _told(ledger) == [("group.started", 2), ("group.blocked", 3)]
    ledger.see(240, RUNNING).see(250, BLOCKED)
    assert [kind for kind, _ in _told(ledger)].count("group.blocked") == 2


def test_gone_and_returned() -> None:
    ledger = Ledger().see(10, RUNNING)
    for seconds in (20, 500, 1000):
        ledger.fail(seconds, Cause.NOT_FOUND)
    assert _told(ledger)[1:] == [("group.gone", 4)]
    ledger.see(2000, RUNNING)
    assert _told(ledger)[2:] == [("group.returned", 5)]


@pytest.mark.parametrize("action", [Action.PAUSED, Action.STOPPED])
def test_what_a_user_did_is_no_event(action: Action) -> None:
    assert _told(Ledger().cease(10, action).resume(20)) == []


def test_an_anomaly_is_told_when_it_first_occurs() -> None:
    odd = body(total=4, running=3)
    ledger = Ledger().see(10, RUNNING).see(20, odd).see(30, RUNNING).see(40, odd)
    told = [event for event in _events(ledger) if event.type == "group.anomaly"]
    assert [(event.seq, event.data["anomaly"]) for event in told] == [(3, "count_mismatch")]


def _standing(ledger: Ledger) -> tuple[int, float] | None:
    standstill = summarize(NOTHING, ledger.entries)[0].standstill
    return None if standstill is None else (standstill.seq, (standstill.since - time(0)).total_seconds())


def test_a_standstill_lasts_while_no_count_changes() -> None:
    ledger = Ledger().see(10, RUNNING)
    assert _standing(ledger) == (2, 10)
    ledger.see(20, body(running=3, message="still at work")).fail(30).see(200, RUNNING)
    assert _standing(ledger) == (2, 10)
    ledger.see(210, body(queued=1, running=2))
    assert _standing(ledger) == (6, 210)


@pytest.mark.parametrize("now", [EMPTY, BLOCKED, DONE], ids=["empty", "blocked", "settled"])
def test_only_an_active_group_stands_still(now: object) -> None:
    assert _standing(Ledger().see(10, RUNNING).see(20, now)) is None  # type: ignore[arg-type]


def test_what_is_unclear_does_not_end_a_standstill() -> None:
    ledger = Ledger().see(10, RUNNING).see(20, body(total=3, completed=2)).see(30, RUNNING)
    assert _standing(ledger) == (2, 10)
