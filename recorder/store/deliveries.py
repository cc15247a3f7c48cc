"""Deliveries: which events each sink is still to be told, and what became of the attempts.

One recorder at a time delivers, the one that holds the lease. A sink begins with the events that are
published after it was first listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, update

from recorder.notify.retries import LONGEST_WAIT, next_attempt
from recorder.notify.sinks import Sink
from recorder.store.dialects.registry import dialect_of
from recorder.store.event_tables import deliveries, delivery_lease, events, sinks
from recorder.store.events import PublishedEvent, event_of_row, last_event_id, read_events
from recorder.store.tables import group_labels

LEASE = timedelta(seconds=15)
QUEUE_BATCH = 500
"""The maximum number of events that one transaction queues for a sink."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that a sink is to be told, after so many failed `attempts`."""

    sink: str
    item: PublishedEvent
    queued_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a delivery at `at`: `error` is None if the sink took it, `gone` if it wants no more."""

    delivery: Delivery
    at: datetime
    error: str | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class SinkState:
    """What is known about a sink: how many deliveries are `pending` or `failed`, and how it last went.

    `listed`: it is in the file of the recorder that delivers, or did so last.
    """

    name: str
    kind: str
    listed: bool
    pending: int
    failed: int
    oldest_pending_at: datetime | None
    disabled_at: datetime | None
    last_success_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None


def lease_is_free(connection: Connection, owner: str, now: datetime) -> bool:
    """Return whether `owner` could have the lease."""
    return bool(connection.scalar(select(exists().where(_free(owner, now)))))


def take_lease(connection: Connection, owner: str, now: datetime) -> bool:
    """Take the lease, or prolong it, until LEASE from now; return whether `owner` has it.

    Attempts that are planned further ahead than any wait were so before the clock was set back: they are due.
    """
    taken = update(delivery_lease).where(_free(owner, now)).values(owner=owner, until=now + LEASE)
    if connection.execute(taken).rowcount == 0:
        return False
    too_far = deliveries.c.failed_at.is_(None), deliveries.c.next_attempt_at > now + LONGEST_WAIT
    connection.execute(update(deliveries).where(*too_far).values(next_attempt_at=now))
    return True


def release_lease(connection: Connection, owner: str) -> None:
    """Let another recorder deliver at once."""
    mine = delivery_lease.c.owner == owner
    connection.execute(update(delivery_lease).where(mine).values(owner=None, until=None))


def _free(owner: str, now: datetime) -> ColumnElement[bool]:
    until = delivery_lease.c.until
    # A lease that is too long was taken before the clock was set back.
    return or_(delivery_lease.c.owner == owner, until.is_(None), until <= now, until > now + 2 * LEASE)


def list_sinks(connection: Connection, listed: Iterable[Sink], now: datetime) -> None:
    """Take note of the sinks that there are; the others keep what they have, and are not told anything."""
    kinds = {sink.name: sink.kind.value for sink in listed}
    known = set(connection.scalars(select(sinks.c.name)))
    connection.execute(update(sinks).values(listed=sinks.c.name.in_(kinds)))
    last = last_event_id(connection)
    new = [
        {"name": name, "kind": kind, "listed": True, "after_id": last, "first_seen_at": now}
        for name, kind in kinds.items()
        if name not in known
    ]
    dialect_of(connection).write_rows(connection, sinks, new)
    for name in known & kinds.keys():
        connection.execute(update(sinks).where(sinks.c.name == name).values(kind=kinds[name]))


def has_listed(connection: Connection) -> bool:
    """Return whether any sink is listed."""
    return bool(connection.scalar(select(exists().where(sinks.c.listed))))


def unlist_sinks(connection: Connection, owner: str, now: datetime) -> bool:
    """Take note that there are no sinks, unless a recorder delivers to some; return whether that is so."""
    if not take_lease(connection, owner, now):
        return False
    list_sinks(connection, (), now)
    release_lease(connection, owner)
    return True


def has_unqueued(connection: Connection) -> bool:
    """Return whether there are events that some listed sink was not looked at for."""
    first = connection.scalar(select(func.min(sinks.c.after_id)).where(sinks.c.listed))
    return first is not None and last_event_id(connection) > first


def queue_events(connection: Connection, listed: Iterable[Sink], now: datetime) -> bool:
    """Queue up to QUEUE_BATCH further events for each sink, as far as it wants them; return whether there
    were any."""
    any_found = False
    places = {row.name: row.after_id for row in connection.execute(select(sinks.c.name, sinks.c.after_id))}
    for sink in listed:
        found = read_events(connection, after=places[sink.name], limit=QUEUE_BATCH)
        if not found:
            continue
        any_found = True
        labels = _labels(connection, [item.event.taskgroup_id or "" for item in found], sink.where)
        rows = [
            {
                "sink": sink.name,
                "event_id": item.id,
                "taskgroup_id": item.event.taskgroup_id or "",
                "queued_at": now,
                "attempts": 0,
                "next_attempt_at": now,
            }
            for item in found
            if sink.wants(
                item.event.type,
                None if item.event.taskgroup_id is None else labels.get(item.event.taskgroup_id, {}),
            )
        ]
        dialect_of(connection).write_rows(connection, deliveries, rows)
        moved = update(sinks).where(sinks.c.name == sink.name).values(after_id=found[-1].id)
        connection.execute(moved)
    return any_found


def _labels(
    connection: Connection, taskgroup_ids: Collection[str], keys: Collection[str]
) -> dict[str, dict[str, str]]:
    """Return the labels with these keys, by group; keys and values are marks."""
    found: dict[str, dict[str, str]] = {}
    if keys:
        columns = group_labels.c
        wanted = columns.taskgroup_id.in_(taskgroup_ids), columns.key.in_(keys)
        for row in connection.execute(
            select(columns.taskgroup_id, columns.key, columns.value).where(*wanted)
        ):
            found.setdefault(row.taskgroup_id, {})[row.key] = row.value
    return found


def due_deliveries(
    connection: Connection, sink: str, now: datetime, limit: int, without: Collection[int] = ()
) -> list[Delivery]:
    """Return deliveries to attempt now, the longest due first; none while the sink is disabled.

    Of each group, only the first event that the sink was not told and that has not failed can be due. Those
    whose event ids are in `without` are left out.
    """
    earlier = deliveries.alias()
    waits = exists().where(
        earlier.c.sink == deliveries.c.sink,
        earlier.c.taskgroup_id == deliveries.c.taskgroup_id,
        earlier.c.event_id < deliveries.c.event_id,
        earlier.c.failed_at.is_(None),
    )
    planned = deliveries.c.next_attempt_at
    statement = (
        select(deliveries.c.queued_at, deliveries.c.attempts, events)
        .join_from(deliveries, events, events.c.id == deliveries.c.event_id)
        .join(sinks, sinks.c.name == deliveries.c.sink)
        .where(
            deliveries.c.sink == sink,
            deliveries.c.failed_at.is_(None),
            planned <= now,
            deliveries.c.event_id.not_in(without),
            sinks.c.disabled_at.is_(None),
            ~waits,
        )
        .order_by(planned, deliveries.c.event_id)
        .limit(limit)
    )
    return [
        Delivery(sink, PublishedEvent(row.id, event_of_row(row)), row.queued_at, row.attempts)
        for row in connection.execute(statement)
    ]


def write_attempts(connection: Connection, attempts: Sequence[Attempt]) -> None:
    """Write what became of deliveries."""
    for attempt in attempts:
        delivery = attempt.delivery
        mine = (deliveries.c.sink == delivery.sink, deliveries.c.event_id == delivery.item.id)
        told: dict[str, Any]
        if attempt.error is None:
            connection.execute(delete(deliveries).where(*mine))
            told = {"last_success_at": attempt.at}
        else:
            connection.execute(update(deliveries).where(*mine).values(**_after_failure(attempt)))
            told = {"last_error_at": attempt.at, "last_error": attempt.error}
            if attempt.gone:
                told["disabled_at"] = attempt.at
        connection.execute(update(sinks).where(sinks.c.name == delivery.sink).values(**told))


def gives_up(attempt: Attempt) -> bool:
    """Whether a failed attempt was the last one."""
    delivery = attempt.delivery
    again = next_attempt(delivery.queued_at, delivery.attempts + 1, attempt.at)
    return attempt.error is not None and not attempt.gone and again is None


def _after_failure(attempt: Attempt) -> dict[str, Any]:
    delivery, attempts = attempt.delivery, attempt.delivery.attempts + 1
    again = next_attempt(delivery.queued_at, attempts, attempt.at)
    if gives_up(attempt):
        return {"attempts": attempts, "failed_at": attempt.at}
    return {"attempts": attempts, "next_attempt_at": again or attempt.at}


def sink_states(connection: Connection, *, unlisted: bool = False) -> list[SinkState]:
    """Return the state of each sink by name; `unlisted` ones too if asked for."""
    pending = deliveries.c.failed_at.is_(None)
    statement = (
        select(
            sinks,
            func.count(deliveries.c.event_id).filter(pending).label("pending"),
            func.count(deliveries.c.failed_at).label("failed"),
            func.min(deliveries.c.queued_at, type_=deliveries.c.queued_at.type)
            .filter(pending)
            .label("oldest_pending_at"),
        )
        .outerjoin(deliveries, and_(deliveries.c.sink == sinks.c.name))
        .where(sinks.c.listed | unlisted)
        .group_by(*sinks.c)
        .order_by(sinks.c.name)
    )
    return [
        SinkState(
            row.name,
            row.kind,
            row.listed,
            row.pending,
            row.failed,
            row.oldest_pending_at,
            row.disabled_at,
            row.last_success_at,
            row.last_error_at,
            row.last_error,
        )
        for row in connection.execute(statement)
    ]


def replay(connection: Connection, name: str, now: datetime) -> int:
    """Enable a sink, and let it be told again what it could not be told; return how many events that are.

    What was still to be attempted is due at once, too.
    """
    mine = deliveries.c.sink == name
    failed = connection.scalar(
        select(func.count()).select_from(deliveries).where(mine, deliveries.c.failed_at.is_not(None))
    )
    again = {"failed_at": None, "attempts": 0, "queued_at": now, "next_attempt_at": now}
    connection.execute(update(deliveries).where(mine).values(**again))
    connection.execute(update(sinks).where(sinks.c.name == name).values(disabled_at=None))
    return failed or 0
