"""Read an overview of a ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from recorder.ledger.anomalies import Anomaly
from recorder.store.mapping import anomalies_in
from recorder.store.tables import entries


@dataclass(frozen=True, slots=True)
class Trail:
    """An overview of a ledger: the number of its entries, the times of the first and the last, and the number
    of entries with each anomaly."""

    entries: int
    first_at: datetime
    last_at: datetime
    anomalies: dict[Anomaly, int]


def read_trail(connection: Connection, taskgroup_id: str) -> Trail:
    """Return the overview of an existing ledger."""
    mine = entries.c.taskgroup_id == taskgroup_id
    count, newest = connection.execute(select(func.count(), func.max(entries.c.seq)).where(mine)).one()
    at = select(entries.c.at).where(mine)
    odd = select(entries.c.anomalies, func.count().label("entries")).where(mine, entries.c.anomalies != "[]")
    found: Counter[Anomaly] = Counter()
    for row in connection.execute(odd.group_by(entries.c.anomalies)):
        for anomaly in anomalies_in(row):
            found[anomaly] += row.entries
    return Trail(
        count,
        connection.execute(at.where(entries.c.seq == 1)).scalar_one(),
        connection.execute(at.where(entries.c.seq == newest)).scalar_one(),
        {anomaly: found[anomaly] for anomaly in Anomaly if found[anomaly]},
    )
