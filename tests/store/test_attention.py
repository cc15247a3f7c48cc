"""Groups that need attention are those that have, or are about to have, an event that says so."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, Engine

from recorder.store.attention import overdue_groups, short_groups, stalled_groups
from recorder.store.clock_events import find_stalled
from recorder.store.groups import GroupFilter, list_groups
from recorder.store.transactions import reading
from tests.support.recording import Recording, active, after, settled

HOUR = timedelta(hours=1)
WINDOW = timedelta(seconds=30)


def _ids(engine: Engine, condition: ColumnElement[bool]) -> set[str]:
    with reading(engine) as connection:
        found = list_groups(connection, GroupFilter(conditions=(condition,)), limit=100)
    return {group.watch.taskgroup_id for group in found}


def test_a_group_is_stalled_when_it_was_seen_for_long_without_a_change(engine: Engine) -> None:
    recording = Recording(engine)
    for name in ("still", "moving", "done", "unseen", "paused"):
        recording.watch(name)
    for at in (1, 3601):
        recording.see("still", at, active(running=2))
        recording.see("paused", at, active(running=2))
        recording.see("done", at, settled(completed=2))
        recording.see("moving", at, active(running=1, completed=at))
    recording.see("unseen", 1, active(running=2))
    recording.pause("paused", 3602)
    for at in (3599, 3603):
        with reading(engine) as connection:
            events = find_stalled(connection, HOUR, after(at))
        stalled = _ids(engine, stalled_groups(after(at), HOUR))
        assert stalled == {event.taskgroup_id for event in events}
    assert stalled == {"still"}


def test_a_group_is_short_after_the_gap_window(engine: Engine) -> None:
    recording = Recording(engine)
    for name, runs in (("short", 3), ("whole", 2), ("active", 3), ("paused", 3), ("nothing", None)):
        recording.watch(name)
        recording.expect(name, 1, runs=runs)
        recording.see(name, 10, active(running=2) if name == "active" else settled(completed=2))
    recording.pause("paused", 11)
    # The next response is due at 20, and a gap opens at 50.
    found = {at: _ids(engine, short_groups(after(at), WINDOW)) for at in (39, 41, 51)}
    assert found == {39: set(), 41: {"short"}, 51: set()}


STATUSES = {
    "done": settled(completed=3),
    "few": settled(completed=2),
    **dict.fromkeys(("asked", "gap", "paused", "any time"), active(running=3)),
}


def test_a_group_is_overdue_once_it_was_asked_for_since_or_has_a_gap(engine: Engine) -> None:
    recording = Recording(engine)
    for name, status in STATUSES.items():
        recording.watch(name)
        if name != "any time":
            recording.expect(name, 1, runs=3, by=after(100))
        recording.see(name, 90, status)
    recording.pause("paused", 95)
    assert _ids(engine, overdue_groups(after(99))) == set()
    assert _ids(engine, overdue_groups(after(101))) == {"paused"}
    for name in ("asked", "done", "few"):
        recording.see(name, 102, STATUSES[name])
    assert _ids(engine, overdue_groups(after(103))) == {"paused", "asked", "few"}
    assert _ids(engine, overdue_groups(after(131))) == {"paused", "asked", "few", "gap"}
