"""The recorders that use a database, each with its heartbeat."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from recorder.status_file import ALIVE_SECONDS
from recorder.store.tables import recorders

HEARTBEAT_SECONDS = 2


class PollLimit(StrEnum):
    """What keeps a recorder from starting more polls.

    MACHINE is one of CPU and DATABASE, as long as it is not known which.
    """

    RATE = "rate"
    CONCURRENCY = "concurrency"
    CPU = "cpu"
    DATABASE = "database"
    MACHINE = "machine"
    RETRY_AFTER = "retry_after"
    KEY_REJECTED = "key_rejected"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The heartbeat of one recorder; `counters` count from its start.

    `report` has JSON members about its condition: `upstream` (what is wrong with the upstream), `rate` (how
    much of the rate the groups need), `polling` and `writing` (when it last did, what limits it, and what
    fails), `held_until` (the upstream asked everybody to wait), `clock_offset_seconds`, and `process` (which
    process it is). Any of them can be missing.
    """

    recorder_id: str
    host: str
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    counters: Mapping[str, int]
    report: Mapping[str, Any]

    def is_alive(self, now: datetime) -> bool:
        """Whether the heartbeat is recent."""
        return now - self.heartbeat_at <= timedelta(seconds=ALIVE_SECONDS)

    def is_recording(self, now: datetime) -> bool:
        """Whether the recorder is alive and none of its writes fails."""
        return self.is_alive(now) and not self.report.get("writing", {}).get("failures")


def beat(connection: Connection, heartbeat: Heartbeat) -> None:
    """Write the heartbeat of a recorder."""
    row = {
        "host": heartbeat.host,
        "pid": heartbeat.pid,
        "started_at": heartbeat.started_at,
        "heartbeat_at": heartbeat.heartbeat_at,
        "counters": json.dumps(dict(heartbeat.counters)),
        "report": json.dumps(dict(heartbeat.report)),
    }
    mine = recorders.c.recorder_id == heartbeat.recorder_id
    if connection.execute(update(recorders).where(mine).values(**row)).rowcount == 0:
        connection.execute(insert(recorders).values(recorder_id=heartbeat.recorder_id, **row))


def sign_off(connection: Connection, recorder_ids: Collection[str]) -> None:
    """Remove recorders that have ended. Rows that another session has locked are skipped."""
    ended = (
        select(recorders.c.recorder_id)
        .where(recorders.c.recorder_id.in_(recorder_ids))
        .with_for_update(skip_locked=True)
    )
    connection.execute(delete(recorders).where(recorders.c.recorder_id.in_(ended)))


def heartbeats(connection: Connection) -> list[Heartbeat]:
    """Return the heartbeats of all recorders, the longest running first."""
    rows = connection.execute(select(recorders).order_by(recorders.c.started_at, recorders.c.recorder_id))
    return [
        Heartbeat(
            recorder_id=row.recorder_id,
            host=row.host,
            pid=row.pid,
            started_at=row.started_at,
            heartbeat_at=row.heartbeat_at,
            counters=json.loads(row.counters),
            report=json.loads(row.report),
        )
        for row in rows
    ]
