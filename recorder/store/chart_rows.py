"""Read a ledger as columns, for charts of long histories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from recorder.ledger.entries import Kind
from recorder.ledger.status_fields import RUN_STATUSES
from recorder.ledger.watch import Watch
from recorder.store.dialects.functions import time_text
from recorder.store.tables import entries

MOST_CHARTED = 300_000
"""How many entries are read at most: the newest ones of those asked for."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LedgerColumns:
    """Consecutive entries of a ledger as equally long columns, in order.

    Times are in Unix milliseconds. `label` is the cause of a gap or the action of a watch change. `start` is
    when an entry starts to apply: a gap at its beginning, others at `at`. `asked` is when a status was last
    asked for, NaN for other entries. `counts` has a row for each of RUN_STATUSES, and `total` the number of
    all runs; NaN where none was reported. `last` is when the last entry was last seen, or its own time if it
    is not a status. `cut` is whether there are earlier entries that were not read, as there were too many.
    """

    seq: NDArray[np.int64]
    kind: Sequence[str]
    label: Sequence[str | None]
    at: Floats
    start: Floats
    asked: Floats
    counts: Floats
    total: Floats
    last: float
    cut: bool

    def __len__(self) -> int:
        return len(self.seq)


_start = func.coalesce(entries.c.gap_from, entries.c.at, type_=entries.c.at.type)
_TIMES = ("at", "gap_from", "previous_last_asked_at")
_COLUMNS = (
    *(entries.c.seq, entries.c.kind, func.coalesce(entries.c.watch_action, entries.c.gap_cause)),
    entries.c.num_task_runs,
    *(entries.c[status] for status in RUN_STATUSES),
    *(time_text(entries.c[name]) for name in _TIMES),
)


def read_columns(
    connection: Connection, watch: Watch, since: datetime | None, until: datetime | None
) -> LedgerColumns:
    """Return the entries of a group that apply at some time in [`since`, `until`)."""
    mine = entries.c.taskgroup_id == watch.taskgroup_id
    statement = select(*_COLUMNS).where(mine)
    if since is not None:
        in_force = select(func.max(entries.c.seq)).where(mine, _start <= since)
        statement = statement.where(entries.c.seq >= (connection.scalar(in_force) or 1))
    if until is not None:
        statement = statement.where(_start < until)
    found = connection.execute(statement.order_by(entries.c.seq.desc()).limit(MOST_CHARTED + 1))
    # Reads the driver's own rows: wrapping them in SQLAlchemy's takes as long as everything else here.
    rows = found.cursor.fetchall() if found.cursor is not None else []
    cut = len(rows) > MOST_CHARTED
    columns = list(zip(*reversed(rows[:MOST_CHARTED]), strict=True)) or [()] * len(_COLUMNS)
    seq, kind, label, total = columns[:4]
    at, gap_from, asked = (milliseconds_of(column) for column in columns[-len(_TIMES) :])
    # What ended the interval of an entry stands in the entry after it.
    ends = _end_of(connection, watch, seq[-1]) if seq else (np.nan, np.nan)
    is_status = np.array([name == Kind.STATUS for name in kind], dtype=bool)
    return LedgerColumns(
        seq=np.array(seq, dtype=np.int64),
        kind=kind,
        label=label,
        at=at,
        start=np.where(np.isnan(gap_from), at, gap_from),
        asked=np.where(is_status, np.append(asked[1:], ends[0])[: len(seq)], np.nan),
        counts=np.array(columns[4 : 4 + len(RUN_STATUSES)], dtype=np.float64),
        total=np.array(total, dtype=np.float64),
        last=float(np.nanmax(np.append(at[-1:], ends[1]))) if seq else np.nan,
        cut=cut,
    )


def milliseconds_of(texts: Sequence[str | None]) -> Floats:
    """Return times in our own format as Unix milliseconds, NaN for None."""
    moments = np.array(["NaT" if text is None else text[:-1] for text in texts], dtype="datetime64[us]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1000)


def _end_of(connection: Connection, watch: Watch, seq: int) -> tuple[float, float]:
    """Return when a status entry was last asked for and seen; NaN if it is of another kind."""
    following = select(entries.c.previous_last_asked_at, entries.c.previous_last_seen_at).where(
        entries.c.taskgroup_id == watch.taskgroup_id, entries.c.seq == seq + 1
    )
    row = connection.execute(following).one_or_none()
    ends = (None, None) if row is None else (row.previous_last_asked_at, row.previous_last_seen_at)
    if row is None and watch.open is not None and seq == watch.head.seq:
        ends = (watch.open.last_asked_at, watch.open.last_seen_at)
    return (np.nan if ends[0] is None else ends[0].timestamp() * 1000), (
        np.nan if ends[1] is None else ends[1].timestamp() * 1000
    )
