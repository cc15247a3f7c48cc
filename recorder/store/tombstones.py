"""Archived groups: what is left of them in the database, and the error for asking for more."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from recorder.ledger.timestamps import format_time
from recorder.store.archive_tables import tombstones

_MOST_IDS = 500
"""How many ids a statement may name."""

_SHOWN = (
    *("taskgroup_id", "head_seq", "head_digest", "entries"),
    *("first_at", "last_at", "archived_at", "archive_sha256"),
)
_COLUMNS = [tombstones.c[name] for name in _SHOWN]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What stands for an archived ledger: its head, its size, the times of its first and last entry, when it
    was archived, and the SHA-256 of the file that has its entries."""

    taskgroup_id: str
    head_seq: int
    head_digest: str
    entries: int
    first_at: datetime
    last_at: datetime
    archived_at: datetime
    archive_sha256: str

    def members(self) -> dict[str, Any]:
        """Return the tombstone as JSON values."""
        values = {name: getattr(self, name) for name in _SHOWN}
        return {
            name: format_time(value) if isinstance(value, datetime) else value
            for name, value in values.items()
        }


class ArchivedGroupError(Exception):
    """The group is archived: its entries are in a file, and here is its tombstone."""

    def __init__(self, tombstone: Tombstone) -> None:
        super().__init__(
            f"group {tombstone.taskgroup_id!r} is archived; "
            "bring it back first with: recorder import --restore FILE"
        )
        self.tombstone = tombstone


def find_tombstone(connection: Connection, taskgroup_id: str) -> Tombstone | None:
    """Return the tombstone of a group, None if it is not archived."""
    return find_tombstones(connection, [taskgroup_id]).get(taskgroup_id)


def named_by(connection: Connection, archive_sha256: str) -> int:
    """Return how many tombstones name the archive with this SHA-256."""
    asked = select(func.count()).where(tombstones.c.archive_sha256 == archive_sha256)
    return connection.scalar(asked) or 0


def find_tombstones(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, Tombstone]:
    """Return the tombstones of those groups that are archived, by group id."""
    ids = list(taskgroup_ids)
    parts = (ids[start : start + _MOST_IDS] for start in range(0, len(ids), _MOST_IDS))
    found = (
        connection.execute(select(*_COLUMNS).where(tombstones.c.taskgroup_id.in_(part))) for part in parts
    )
    return {row.taskgroup_id: Tombstone(*row) for rows in found for row in rows}
