"""Read the views that people query, so that exports contain what SQL returns.

Times are returned as text in the form that the API uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnClause,
    ColumnElement,
    Connection,
    Float,
    Row,
    Select,
    TableClause,
    Text,
    column,
    select,
    table,
)
from sqlalchemy.types import TypeEngine

from recorder.ledger.status_fields import RUN_STATUSES
from recorder.store.dialects.functions import time_text
from recorder.store.tables import Time, entries


class JsonText(Text):
    """JSON that is read as text."""


_STATUS: dict[str, type[TypeEngine[Any]]] = {
    "taskgroup_id": Text,
    "seq": BigInteger,
    "observed_at": Time,
    "last_seen_at": Time,
    "polls": BigInteger,
    "phase": Text,
    **dict.fromkeys(("num_task_runs", *RUN_STATUSES), BigInteger),
    "is_active": Boolean,
    "status_message": Text,
    "modified_at": Time,
    "metadata": JsonText,
    "created_at": Time,
    "anomalies": JsonText,
    "digest": Text,
}
_WATCH: dict[str, type[TypeEngine[Any]]] = {
    "state": Text,
    "due_at": Time,
    "expected_runs": BigInteger,
    "expected_by": Time,
}
_COMPLETION: dict[str, type[TypeEngine[Any]]] = {
    "taskgroup_id": Text,
    "episode": BigInteger,
    **dict.fromkeys(("started_at", "started_earliest", "started_latest"), Time),
    **dict.fromkeys(("completed_at", "completed_earliest", "completed_latest"), Time),
    **dict.fromkeys(("duration_seconds", "duration_earliest_seconds", "duration_latest_seconds"), Float),
    **dict.fromkeys(("censored", "first_sight"), Boolean),
    "outcome": Text,
    **dict.fromkeys(("runs_total", "runs_completed", "runs_failed", "runs_cancelled"), BigInteger),
    "gap_seconds": Float,
    "polls": BigInteger,
}
_GAPS: dict[str, type[TypeEngine[Any]]] = {
    "taskgroup_id": Text,
    "seq": BigInteger,
    **dict.fromkeys(("gap_from", "gap_to"), Time),
    "duration_seconds": Float,
    "cause": Text,
    "attempts": BigInteger,
    "unpolled_seconds": Float,
    "http_status": BigInteger,
    "detail": Text,
}


def _view(name: str, columns: dict[str, type[TypeEngine[Any]]]) -> TableClause:
    return table(name, *(column(name, kind()) for name, kind in columns.items()))


STATUS_HISTORY = _view("status_history", _STATUS)
LATEST_STATUS = _view("latest_status", {**_STATUS, **_WATCH})
GROUP_COMPLETION = _view("group_completion", _COMPLETION)
OBSERVATION_GAPS = _view("observation_gaps", _GAPS)


def latest_status_rows(connection: Connection, taskgroup_ids: Sequence[str]) -> list[Row[Any]]:
    """Return the rows of `latest_status` for existing groups, in the order of `taskgroup_ids`."""
    found = _all_of(LATEST_STATUS).where(LATEST_STATUS.c.taskgroup_id.in_(taskgroup_ids))
    rows = {row.taskgroup_id: row for row in connection.execute(found)}
    return [rows[taskgroup_id] for taskgroup_id in taskgroup_ids]


def rows_of_entries(
    connection: Connection, view: TableClause, taskgroup_id: str, seqs: Sequence[int]
) -> list[Row[Any]]:
    """Return the rows of `status_history` or `observation_gaps` for entries of a group, in the order of
    `seqs`."""
    found = _all_of(view).where(view.c.taskgroup_id == taskgroup_id, view.c.seq.in_(seqs))
    rows = {row.seq: row for row in connection.execute(found)}
    return [rows[seq] for seq in seqs]


def completion_rows(
    connection: Connection, taskgroup_id: str, *, after: int, limit: int
) -> Sequence[Row[Any]]:
    """Return up to `limit` rows of `group_completion` for a group: its episodes after number `after`."""
    own = GROUP_COMPLETION.c
    found = _all_of(GROUP_COMPLETION).where(own.taskgroup_id == taskgroup_id, own.episode > after)
    return connection.execute(found.order_by(own.episode).limit(limit)).all()


def _all_of(view: TableClause) -> Select[Any]:
    selected = select(*map(_readable, view.c))
    if not any(isinstance(own.type, JsonText) for own in view.c):
        return selected
    same = (entries.c.taskgroup_id == view.c.taskgroup_id) & (entries.c.seq == view.c.seq)
    return selected.select_from(view.outerjoin(entries, same))


def _readable(own: ColumnClause[Any]) -> ColumnElement[Any]:
    """Read JSON from its entry: PostgreSQL's jsonb has the same value, but not the text that was stored."""
    if isinstance(own.type, Time):
        return time_text(own).label(own.name)
    return entries.c[own.name] if isinstance(own.type, JsonText) else own
