"""The mark of a database that `recorder demo` made: whose groups no real provider knows."""

from __future__ import annotations

from sqlalchemy import Connection, select

from recorder.store.tables import entries, watches

DEMO_ACTOR = "recorder demo"
"""Who enrols the groups of a demo."""


def is_of_demo(connection: Connection) -> bool:
    """Whether the group that was enrolled first was enrolled by a demo."""
    first = select(watches.c.taskgroup_id).order_by(watches.c.enrolled_at, watches.c.taskgroup_id).limit(1)
    started = select(entries.c.watch_actor).where(
        entries.c.taskgroup_id == first.scalar_subquery(), entries.c.seq == 1
    )
    return connection.execute(started).scalar() == DEMO_ACTOR
