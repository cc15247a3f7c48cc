"""Whose turn it is to archive: one recorder's at a time, and not again before some time has passed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, or_, update

from recorder.store.archive_tables import archive_turns

_free_at = archive_turns.c.free_at


def take_turn(connection: Connection, owner: str, now: datetime, until: datetime) -> bool:
    """Take the turn until `until` if it is free; return whether it was."""
    taken = update(archive_turns).where(or_(_free_at.is_(None), _free_at <= now))
    return connection.execute(taken.values(owner=owner, free_at=until)).rowcount == 1


def keep_turn(connection: Connection, owner: str, until: datetime) -> bool:
    """Keep the turn longer; return whether `owner` still has it."""
    kept = update(archive_turns).where(archive_turns.c.owner == owner)
    return connection.execute(kept.values(free_at=until)).rowcount == 1


def free_turn(connection: Connection, owner: str, free_at: datetime) -> None:
    """Give the turn of `owner` up, so that it is free from `free_at` on."""
    keep_turn(connection, owner, free_at)
