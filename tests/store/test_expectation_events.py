"""`group.short` and `group.overdue`: what was expected of a group did not come."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Engine

from recorder.notify.events import Event, EventType
from recorder.store.clock_events import find_overdue, find_short
from recorder.store.events import add_events
from recorder.store.transactions import reading, writing
from tests.support.plans import Explaining
from tests.support.recording import Recording, active, after, settled

WINDOW = timedelta(seconds=30)
GROUP = "tgrp_1"


class Story:
    """A group, and the events that several recorders find about it when they all look."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.recording = Recording(engine)
        self.recording.watch(GROUP)

    def look(self, at: float) -> list[Event]:
        """Return what is new at `at`; a second recorder finds the same, and writes nothing more."""
        with reading(self.engine) as connection:
            first, second = self._find(connection, at), self._find(connection, at)
        assert first == second
        with writing(self.engine) as connection:
            add_events(connection, first)
            add_events(connection, second)
        return first

    @staticmethod
    def _find(connection: Any, at: float) -> list[Event]:
        return [*find_short(connection, WINDOW, after(at)), *find_overdue(connection, after(at))]

    def types(self, at: float) -> list[str]:
        return [event.type.value for event in self.look(at)]


@pytest.fixture
def story(engine: Engine) -> Story:
    return Story(engine)


def test_short_is_told_once_an_episode(story: Story) -> None:
    recording = story.recording
    recording.expect(GROUP, 1, runs=5)
    recording.see(GROUP, 10, active(running=3))
    assert story.look(100) == []
    recording.see(GROUP, 20, settled(completed=3))
    assert story.look(49) == []
    recording.see(GROUP, 45, settled(completed=3))
    (event,) = story.look(51)
    assert (event.type, event.subject, event.taskgroup_id, event.at) == (
        *(EventType.SHORT, "1", GROUP),
        after(51),
    )
    assert event.data == {
        "taskgroup_id": GROUP,
        "seq": event.seq,
        "number": 1,
        "runs": 3,
        "since": "2026-11-24T12:00:20.000000Z",
        "expected": {"runs": 5, "by": None},
    }
    # Neither a gap nor another expectation tells it again, but another episode does.
    recording.see(GROUP, 300, settled(completed=3))
    recording.expect(GROUP, 301, runs=6)
    recording.see(GROUP, 310, settled(completed=3))
    recording.see(GROUP, 345, settled(completed=3))
    assert story.look(350) == []
    recording.see(GROUP, 355, active(running=1, completed=3))
    recording.see(GROUP, 365, settled(completed=4))
    recording.see(GROUP, 396, settled(completed=4))
    assert [(found.type, found.subject) for found in story.look(397)] == [(EventType.SHORT, "2")]


def test_runs_that_come_in_time_are_not_short(story: Story) -> None:
    story.recording.expect(GROUP, 1, runs=5)
    story.recording.see(GROUP, 10, settled(completed=3))
    story.recording.see(GROUP, 35, active(running=2, completed=3))
    story.recording.see(GROUP, 45, settled(completed=5))
    story.recording.see(GROUP, 80, settled(completed=5))
    assert story.look(100) == []


def test_an_expectation_waits_for_a_response(story: Story) -> None:
    """The runs that it is about may have been added since the last one."""
    story.recording.see(GROUP, 10, settled(completed=3))
    story.recording.expect(GROUP, 12, runs=5)
    assert story.look(48) == []
    story.recording.see(GROUP, 49, active(running=2, completed=3))
    assert story.look(200) == []


def test_a_group_in_a_gap_is_not_known_to_be_short(story: Story) -> None:
    story.recording.expect(GROUP, 1, runs=5)
    story.recording.see(GROUP, 10, settled(completed=3))
    assert story.look(51) == []
    story.recording.see(GROUP, 60, settled(completed=3))
    story.recording.see(GROUP, 95, settled(completed=3))
    assert story.types(96) == ["group.short"]


def test_a_paused_group_is_not_short(story: Story) -> None:
    story.recording.expect(GROUP, 1, runs=5)
    story.recording.see(GROUP, 10, settled(completed=3))
    story.recording.pause(GROUP, 20)
    assert story.look(60) == []


def test_overdue_is_told_once_a_date(story: Story) -> None:
    recording = story.recording
    recording.expect(GROUP, 1, by=after(30))
    recording.see(GROUP, 29, active(running=3))
    assert story.look(31) == []
    recording.see(GROUP, 39, active(running=3))
    (event,) = story.look(40)
    assert (event.type, event.taskgroup_id, event.at) == (EventType.OVERDUE, GROUP, after(40))
    assert event.data == {
        "taskgroup_id": GROUP,
        "seq": event.seq,
        "phase": "active",
        "finished": 0,
        "expected": {"runs": None, "by": "2026-11-24T12:00:30.000000Z"},
    }
    recording.expect(GROUP, 41, runs=3)
    recording.see(GROUP, 50, active(running=3))
    assert story.look(60) == []
    recording.expect(GROUP, 61, by=after(70))
    recording.see(GROUP, 72, active(running=3))
    assert story.types(75) == ["group.overdue"]
    recording.expect(GROUP, 76, by=after(30))
    recording.see(GROUP, 82, active(running=3))
    assert story.look(83) == []


@pytest.mark.parametrize(("runs", "types"), [(None, []), (3, []), (4, ["group.overdue"])])
def test_only_a_group_that_is_done_is_not_overdue(story: Story, runs: int | None, types: list[str]) -> None:
    story.recording.expect(GROUP, 1, by=after(30), runs=runs)
    story.recording.see(GROUP, 20, settled(completed=3))
    story.recording.see(GROUP, 31, settled(completed=3))
    assert story.types(32) == types


def test_a_group_that_is_not_seen_is_overdue_once_it_is_late(story: Story) -> None:
    story.recording.expect(GROUP, 1, by=after(10))
    assert story.look(29) == []
    (event,) = story.look(31)
    assert (event.data["phase"], event.data["finished"]) == (None, None)


def test_a_paused_group_is_overdue_at_once(story: Story) -> None:
    story.recording.see(GROUP, 5, active(running=1))
    story.recording.expect(GROUP, 6, by=after(30))
    story.recording.pause(GROUP, 10)
    assert story.look(29) == []
    assert story.types(30) == ["group.overdue"]


@pytest.mark.parametrize("index", ["ix_watches_short", "ix_watches_expected_by"])
def test_looking_reads_only_the_groups_concerned(engine: Engine, index: str) -> None:
    """Recorders look every two seconds, and most groups are as expected."""
    with reading(engine) as connection:
        explaining = cast(Any, Explaining(connection))
        find_short(explaining, WINDOW, after(0))
        find_overdue(explaining, after(0))
    assert index in explaining.plans
