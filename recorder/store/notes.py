"""Read the notes that people kept with the entries of groups."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from recorder.store.tables import entries


def newest_notes(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, str]:
    """Return the newest note of each of the groups that has one."""
    id_, note = entries.c.taskgroup_id, entries.c.watch_note
    found = select(id_, note).where(id_.in_(taskgroup_ids), note.is_not(None)).order_by(id_, entries.c.seq)
    return {row.taskgroup_id: row.watch_note for row in connection.execute(found)}
