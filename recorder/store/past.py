"""Reading a ledger as of moments of the past."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from recorder.ledger.certainty import Mark, Timeline
from recorder.ledger.decision import open_gap
from recorder.ledger.entries import Action, Kind
from recorder.ledger.watch import Watch
from recorder.store.tables import entries

_next = entries.alias("next_entry")
_start = func.coalesce(entries.c.gap_from, entries.c.at, type_=entries.c.at.type)


def timeline_of(
    connection: Connection, watch: Watch, first: datetime, last: datetime, now: datetime
) -> Timeline:
    """Return a group's timeline for the moments from `first` to `last`, no later than `now`."""
    mine = entries.c.taskgroup_id == watch.taskgroup_id
    since = (_seq_at(connection, mine, first) or 1) - 1
    until = _seq_at(connection, mine, last) or 1
    is_status = entries.c.kind == Kind.STATUS.value
    following = select(func.min(entries.c.seq)).where(mine, is_status, entries.c.seq > until)
    until = connection.scalar(following) or watch.head.seq
    seen_before = select(func.max(entries.c.seq)).where(mine, is_status, entries.c.seq < since)
    gap_is_open = until == watch.head.seq and open_gap(watch, now) is not None
    return Timeline(
        _marks(connection, watch, entries.c.seq.between(since, until)),
        seen_before=connection.scalar(seen_before),
        gap_is_open=gap_is_open,
    )


def extent_of(connection: Connection, taskgroup_id: str) -> tuple[datetime, datetime]:
    """Return when the first entry of a ledger starts, and when its newest one does."""
    mine = select(_start).where(entries.c.taskgroup_id == taskgroup_id)
    first = connection.execute(mine.order_by(entries.c.seq).limit(1)).scalar_one()
    last = connection.execute(mine.order_by(entries.c.seq.desc()).limit(1)).scalar_one()
    return first, last


def marks_between(connection: Connection, watch: Watch, first: datetime, last: datetime) -> Sequence[Mark]:
    """Return the entries of a group that start in [`first`, `last`), and gaps that reach into it."""
    started = and_(_start >= first, _start < last)
    reaching = and_(entries.c.kind == Kind.GAP.value, _start < first, entries.c.at > first)
    return _marks(connection, watch, started | reaching)


def _seq_at(connection: Connection, mine: ColumnElement[bool], moment: datetime) -> int | None:
    """The entry that counts at a moment, None before the first."""
    found = select(entries.c.seq).where(mine, _start <= moment)
    return connection.scalar(found.order_by(entries.c.seq.desc()).limit(1))


def _marks(connection: Connection, watch: Watch, which: ColumnElement[bool]) -> list[Mark]:
    after = and_(_next.c.taskgroup_id == entries.c.taskgroup_id, _next.c.seq == entries.c.seq + 1)
    columns = (entries.c.seq, entries.c.kind, _start.label("start"), entries.c.at, entries.c.watch_action)
    found = select(*columns, _next.c.previous_last_seen_at).select_from(entries.outerjoin(_next, after))
    mine = entries.c.taskgroup_id == watch.taskgroup_id
    rows = connection.execute(found.where(mine, which).order_by(entries.c.seq)).all()
    return [_mark(row, watch) for row in rows]


def _mark(row: Any, watch: Watch) -> Mark:
    until = row.at
    if row.kind == Kind.STATUS:
        until = row.previous_last_seen_at
        if until is None and watch.open is not None:
            until = watch.open.last_seen_at
    action = None if row.watch_action is None else Action(row.watch_action)
    return Mark(row.seq, Kind(row.kind), row.start, until, action)
