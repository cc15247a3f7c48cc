"""Read a ledger as of past moments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import chain, pairwise
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select

from recorder.ledger.entries import REMARKS, Action, Kind
from recorder.ledger.timeline import Mark, Timeline
from recorder.ledger.transitions import open_gap
from recorder.ledger.watch import Watch
from recorder.store.tables import entries

_start = func.coalesce(entries.c.gap_from, entries.c.at, type_=entries.c.at.type)
_is_status = entries.c.kind == Kind.STATUS.value
_counts = or_(entries.c.watch_action.is_(None), entries.c.watch_action.not_in(sorted(REMARKS)))
"""Notes and expectations say nothing about the status."""


def extent_of(connection: Connection, taskgroup_id: str) -> tuple[datetime, datetime]:
    """Return when the first and the newest entry of a ledger start."""
    mine = select(_start).where(entries.c.taskgroup_id == taskgroup_id)
    first = connection.execute(mine.order_by(entries.c.seq).limit(1)).scalar_one()
    last = connection.execute(mine.order_by(entries.c.seq.desc()).limit(1)).scalar_one()
    return first, last


def seqs_at(connection: Connection, watch: Watch, moment: datetime) -> range:
    """Return the numbers of the entries that describe a moment: the entry in force then, the one before it,
    and those up to the next status."""
    current = _seq_at(connection, watch, moment)
    before = _newest_before(connection, watch, current, 1)
    return range(before, _next_status(connection, watch, current) + 1)


def seqs_between(connection: Connection, watch: Watch, first: datetime, last: datetime) -> range:
    """Return the numbers of the entries that describe the moments from `first` to `last`."""
    statement = select(func.min(entries.c.seq)).where(_of(watch), entries.c.at >= first)
    following = connection.scalar(statement) or watch.head.seq + 1
    # At `first` the entry before it is in force, or a later one.
    current = _seq_at(connection, watch, last)
    before = _newest_before(connection, watch, following, 2)
    return range(before, _next_status(connection, watch, current) + 1)


def read_timeline(
    connection: Connection, watch: Watch, seqs: range, now: datetime
) -> tuple[list[Mark], Timeline]:
    """Return the entries `seqs` of a group and the timeline that they describe, up to `now`."""
    marks = _marks(connection, watch, seqs)
    seen_before = select(func.max(entries.c.seq)).where(_of(watch), _is_status, entries.c.seq < seqs.start)
    gap_is_open = watch.head.seq in seqs and open_gap(watch, now) is not None
    return marks, Timeline(marks, seen_before=connection.scalar(seen_before), gap_is_open=gap_is_open)


def _of(watch: Watch) -> ColumnElement[bool]:
    return entries.c.taskgroup_id == watch.taskgroup_id


def _seq_at(connection: Connection, watch: Watch, moment: datetime) -> int:
    """Return the entry in force at a moment, the first one if none is yet."""
    found = select(entries.c.seq).where(_of(watch), _counts, _start <= moment)
    return connection.scalar(found.order_by(entries.c.seq.desc()).limit(1)) or 1


def _newest_before(connection: Connection, watch: Watch, seq: int, count: int) -> int:
    """Return the first of the `count` newest entries before an entry, 1 if there are fewer."""
    found = select(entries.c.seq).where(_of(watch), _counts, entries.c.seq < seq)
    newest = found.order_by(entries.c.seq.desc()).limit(count).subquery()
    return connection.scalar(select(func.min(newest.c.seq))) or 1


def _next_status(connection: Connection, watch: Watch, seq: int) -> int:
    """Return the first status entry after an entry, or the newest entry if there is none."""
    following = select(func.min(entries.c.seq)).where(_of(watch), _is_status, entries.c.seq > seq)
    return connection.scalar(following) or watch.head.seq


def _marks(connection: Connection, watch: Watch, seqs: range) -> list[Mark]:
    columns = (entries.c.seq, entries.c.kind, entries.c.at, _start.label("start"), entries.c.watch_action)
    found = select(*columns, entries.c.previous_last_seen_at).where(_of(watch))
    # One more row, which has the end of the last entry's interval. Rows are not kept: there may be many.
    found = found.where(entries.c.seq.between(seqs.start, seqs.stop)).order_by(entries.c.seq)
    rows: Iterable[Any] = chain(connection.execute(found), [None])
    return [
        _mark(row, following, watch)
        for row, following in pairwise(rows)
        if row.seq in seqs and row.watch_action not in REMARKS
    ]


def _mark(row: Any, following: Any, watch: Watch) -> Mark:
    until = row.at
    if row.kind == Kind.STATUS:
        until = following and following.previous_last_seen_at
        if until is None and watch.open is not None:
            until = watch.open.last_seen_at
    action = None if row.watch_action is None else Action(row.watch_action)
    return Mark(row.seq, Kind(row.kind), row.start, until, action)
