"""Read the recent progress of many groups at once, for small pictures of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from recorder.ledger.entries import Kind
from recorder.ledger.status_fields import FINISHED_STATUSES
from recorder.store.tables import entries, watches

TRACED_ENTRIES = 40
"""How many of a group's newest entries are read."""


@dataclass(frozen=True, slots=True)
class TracePoint:
    """How many runs had finished from `at` on, None in a gap or while the group was not watched; `total` is
    the number of all runs."""

    at: datetime
    finished: int | None
    total: int | None


def read_traces(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, list[TracePoint]]:
    """Return the recent progress of groups, by group id, oldest point first; remarks are left out."""
    columns = [entries.c[name] for name in FINISHED_STATUSES]
    finished = sum((func.coalesce(column, 0) for column in columns[1:]), func.coalesce(columns[0], 0))
    statement = (
        select(
            entries.c.taskgroup_id,
            entries.c.kind,
            func.coalesce(entries.c.gap_from, entries.c.at, type_=entries.c.at.type).label("start"),
            finished.label("finished"),
            entries.c.num_task_runs,
        )
        .join_from(watches, entries, entries.c.taskgroup_id == watches.c.taskgroup_id)
        .where(
            watches.c.taskgroup_id.in_(taskgroup_ids),
            entries.c.seq > watches.c.head_seq - TRACED_ENTRIES,
        )
        .order_by(entries.c.taskgroup_id, entries.c.seq)
    )
    traces: dict[str, list[TracePoint]] = defaultdict(list)
    for row in connection.execute(statement):
        seen = row.kind == Kind.STATUS
        traces[row.taskgroup_id].append(
            TracePoint(row.start, row.finished if seen else None, row.num_task_runs if seen else None)
        )
    return traces
