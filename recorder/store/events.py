"""Events: written in the transaction of their cause, and numbered afterwards.

Ids are given by one session at a time, and only to events whose transactions have ended. A reader that sees
an id therefore sees all smaller ones too, which a sequence of the database does not promise.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, exists, select, update

from recorder.ledger.entries import Entry
from recorder.notify.events import Event, EventType, events_of
from recorder.store.derived import SummaryChange
from recorder.store.dialects.registry import dialect_of
from recorder.store.event_tables import events, published_events

PUBLISH_BATCH = 1000
"""The maximum number of events that one transaction publishes."""

_PLACES = {kind.value: place for place, kind in enumerate(EventType)}


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event with its id: 1, 2, 3 … without holes."""

    id: int
    event: Event


def write_events(connection: Connection, changes: Iterable[SummaryChange], entries: Iterable[Entry]) -> None:
    """Write the events that follow from `entries`, whose `changes` were just derived."""
    by_group: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_group[entry.taskgroup_id].append(entry)
    add_events(
        connection,
        [event for change in changes for event in events_of(change.before, by_group[change.taskgroup_id])],
    )


def add_events(connection: Connection, new: Sequence[Event]) -> None:
    """Write events, except those that are there already."""
    if new:
        statement = dialect_of(connection).insert(events).on_conflict_do_nothing()
        connection.execute(statement, [_row(event) for event in new])


def has_unpublished(connection: Connection) -> bool:
    """Return whether there are events without an id."""
    return bool(connection.scalar(select(exists().where(events.c.id.is_(None)))))


def publish_events(connection: Connection) -> list[PublishedEvent]:
    """Give the next ids to up to PUBLISH_BATCH events, and return these; none if another session is at it.

    The events of a group are in the order of its ledger.
    """
    locked = select(published_events.c.last_id).with_for_update(skip_locked=True)
    last_id: int | None = connection.scalar(locked)
    if last_id is None:
        return []
    waiting = select(events).where(events.c.id.is_(None)).order_by(events.c.taskgroup_id, events.c.seq)
    rows = connection.execute(waiting.limit(PUBLISH_BATCH)).all()
    if not rows:
        return []
    published = [
        PublishedEvent(last_id + place, event_of_row(row)) for place, row in enumerate(_ordered(rows), 1)
    ]
    key = {f"its_{name}": events.c[name] for name in ("taskgroup_id", "type", "subject")}
    mine = [column == bindparam(name) for name, column in key.items()]
    connection.execute(
        update(events).where(*mine).values(id=bindparam("new_id")),
        [{**_key(item.event), "new_id": item.id} for item in published],
    )
    connection.execute(update(published_events).values(last_id=published[-1].id))
    return published


def last_event_id(connection: Connection) -> int:
    """Return the id of the newest published event, 0 if there is none."""
    return connection.scalar(select(published_events.c.last_id)) or 0


def read_events(
    connection: Connection,
    *,
    after: int = 0,
    types: Collection[EventType] | None = None,
    taskgroup_id: str | None = None,
    limit: int,
) -> list[PublishedEvent]:
    """Return up to `limit` published events with an id above `after`, in the order of the ids."""
    found = select(events).where(events.c.id > after).order_by(events.c.id).limit(limit)
    return [
        PublishedEvent(row.id, event_of_row(row))
        for row in connection.execute(_matching(found, types, taskgroup_id))
    ]


def read_newest_events(
    connection: Connection,
    *,
    before: int | None = None,
    types: Collection[EventType] | None = None,
    taskgroup_id: str | None = None,
    limit: int,
) -> list[PublishedEvent]:
    """Return up to `limit` published events with an id below `before`, the newest first."""
    found = select(events).where(events.c.id.is_not(None)).order_by(events.c.id.desc()).limit(limit)
    if before is not None:
        found = found.where(events.c.id < before)
    return [
        PublishedEvent(row.id, event_of_row(row))
        for row in connection.execute(_matching(found, types, taskgroup_id))
    ]


def _matching(
    found: Select[Any], types: Collection[EventType] | None, taskgroup_id: str | None
) -> Select[Any]:
    if types is not None:
        found = found.where(events.c.type.in_([kind.value for kind in types]))
    return found if taskgroup_id is None else found.where(events.c.taskgroup_id == taskgroup_id)


def _ordered(rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Sort events by time; those of one group keep their order, even where its clock stepped back."""
    latest: dict[str, datetime] = {}
    placed = []
    for row in sorted(rows, key=_in_group):
        at = latest[row.taskgroup_id] = max(row.at, latest.get(row.taskgroup_id, row.at))
        placed.append((at, row))
    return [row for _, row in sorted(placed, key=lambda place: place[0])]


def _in_group(row: Row[Any]) -> tuple[str, int, datetime, int, str]:
    # Events about the upstream have no seq: only their times tell their order.
    seq = 0 if row.seq is None else row.seq
    at = row.at if row.seq is None else datetime.min.replace(tzinfo=row.at.tzinfo)
    return row.taskgroup_id, seq, at, _PLACES[row.type], row.subject


def _row(event: Event) -> dict[str, Any]:
    return {
        "taskgroup_id": event.taskgroup_id or "",
        "type": event.type.value,
        "subject": event.subject,
        "at": event.at,
        "seq": event.seq,
        "data": json.dumps(event.data),
    }


def _key(event: Event) -> dict[str, Any]:
    return {
        "its_taskgroup_id": event.taskgroup_id or "",
        "its_type": event.type.value,
        "its_subject": event.subject,
    }


def event_of_row(row: Row[Any]) -> Event:
    """Return the event in a row of `events`."""
    data = json.loads(row.data)
    return Event(EventType(row.type), row.subject, row.at, row.taskgroup_id or None, row.seq, data)
