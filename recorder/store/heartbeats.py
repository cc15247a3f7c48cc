"""The recorders at work on a database, each with a heartbeat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from recorder.store.tables import recorders

HEARTBEAT_SECONDS = 2
ALIVE = timedelta(seconds=15)
"""A recorder whose heartbeat is older counts as dead."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One recorder's sign of life; `counters` count since its start."""

    recorder_id: str
    host: str
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    counters: Mapping[str, int]


def beat(connection: Connection, heartbeat: Heartbeat) -> None:
    """Write a recorder's sign of life."""
    row = {
        "host": heartbeat.host,
        "pid": heartbeat.pid,
        "started_at": heartbeat.started_at,
        "heartbeat_at": heartbeat.heartbeat_at,
        "counters": json.dumps(dict(heartbeat.counters)),
    }
    mine = recorders.c.recorder_id == heartbeat.recorder_id
    if connection.execute(update(recorders).where(mine).values(**row)).rowcount == 0:
        connection.execute(insert(recorders).values(recorder_id=heartbeat.recorder_id, **row))


def sign_off(connection: Connection, recorder_id: str) -> None:
    """Take a recorder that ends off the list."""
    connection.execute(delete(recorders).where(recorders.c.recorder_id == recorder_id))


def forget_dead(connection: Connection, now: datetime) -> list[str]:
    """Take recorders off the list that gave no sign of life for too long; return their ids."""
    dead = delete(recorders).where(recorders.c.heartbeat_at < now - ALIVE)
    return list(connection.scalars(dead.returning(recorders.c.recorder_id)))


def heartbeats(connection: Connection) -> list[Heartbeat]:
    """Return the recorders on the list, the longest at work first."""
    rows = connection.execute(select(recorders).order_by(recorders.c.started_at, recorders.c.recorder_id))
    return [
        Heartbeat(
            row.recorder_id, row.host, row.pid, row.started_at, row.heartbeat_at, json.loads(row.counters)
        )
        for row in rows
    ]
