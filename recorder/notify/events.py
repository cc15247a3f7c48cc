"""Which events follow from the entries of a ledger.

Events of the clock, which no entry causes, are made where the clock is watched: see `upstream` here, and
`recorder.store.clock_events`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from recorder.completion.episode_json import episode_members, moment_members
from recorder.completion.episodes import Episode, State, advance_episodes
from recorder.completion.summary import Summary
from recorder.ledger.entries import Action, Entry, StatusContent, WatchChange
from recorder.ledger.status_fields import Phase
from recorder.ledger.transitions import RECORDER_ACTOR


class EventType(StrEnum):
    """What happened. Several events of one entry are published in this order."""

    RETURNED = "group.returned"
    STARTED = "group.started"
    BLOCKED = "group.blocked"
    ANOMALY = "group.anomaly"
    STALLED = "group.stalled"
    SETTLED = "group.settled"
    SHORT = "group.short"
    OVERDUE = "group.overdue"
    GONE = "group.gone"
    UPSTREAM_DOWN = "upstream.down"
    UPSTREAM_UP = "upstream.up"
    KEY_REJECTED = "key.rejected"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at `at`. Of one type, a group has one event for each `subject`.

    `data` has JSON values. `taskgroup_id` and `seq`, the entry that shows it, are None if it is about the
    upstream.
    """

    type: EventType
    subject: str
    at: datetime
    taskgroup_id: str | None
    seq: int | None
    data: dict[str, Any]


def events_of(before: Summary, entries: Iterable[Entry]) -> Iterator[Event]:
    """Yield the events that follow from `entries`, the next ones of a ledger after `before`, in order."""
    work, known = before.work, set(before.anomalies)
    for entry in entries:
        earlier, content = work, entry.content
        work, ended = advance_episodes(earlier, entry)
        if isinstance(content, WatchChange):
            yield from _of_watch(entry, content)
        elif isinstance(content, StatusContent):
            yield from _of_work(entry, earlier, work, ended)
            for anomaly in content.anomalies:
                if anomaly not in known:
                    known.add(anomaly)
                    yield group_event(EventType.ANOMALY, entry, anomaly.value, {"anomaly": anomaly.value})
            if ended is not None:
                yield group_event(EventType.SETTLED, entry, str(ended.number), episode_members(ended))


def group_event(kind: EventType, entry: Entry, subject: str, data: dict[str, Any]) -> Event:
    """Return an event that `entry` causes."""
    place = {"taskgroup_id": entry.taskgroup_id, "seq": entry.seq}
    return Event(kind, subject, entry.at, entry.taskgroup_id, entry.seq, place | data)


def _of_watch(entry: Entry, change: WatchChange) -> Iterator[Event]:
    if change.action is Action.GONE:
        yield group_event(EventType.GONE, entry, str(entry.seq), {})
    elif change.action is Action.RESUMED and change.actor == RECORDER_ACTOR:
        yield group_event(EventType.RETURNED, entry, str(entry.seq), {})


def _of_work(entry: Entry, before: State, after: State, ended: Episode | None) -> Iterator[Event]:
    """Yield the beginning of an episode, which may have ended by now, and of a blockade."""
    opened = ended or after.opened
    if before.opened is None and opened is not None:
        number = before.episodes + 1
        data = {
            "number": number,
            "started": moment_members(opened.started),
            "first_sight": opened.first_sight,
        }
        yield group_event(EventType.STARTED, entry, str(number), data)
    was_blocked = before.sight is not None and before.sight.phase is Phase.BLOCKED
    sight = after.sight
    if sight is not None and sight.phase is Phase.BLOCKED and not was_blocked:
        data = {"number": after.episodes + 1, "runs": asdict(sight.runs)}
        yield group_event(EventType.BLOCKED, entry, str(entry.seq), data)
