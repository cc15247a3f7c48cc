"""Read the notes that people kept with the entries of groups."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from recorder.ledger.entries import Kind
from recorder.store.tables import entries, is_kind


def newest_notes(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, str]:
    """Return the newest note of each of the groups that has one."""
    id_, seq, note = entries.c.taskgroup_id, entries.c.seq, entries.c.watch_note
    # Ledgers are long, and the entries that can have a note are few and have an index.
    changes = select(id_, seq).where(id_.in_(taskgroup_ids), is_kind(Kind.WATCH)).subquery()
    mine = (changes.c.taskgroup_id == id_) & (changes.c.seq == seq)
    found = select(id_, note).join(changes, mine).where(note.is_not(None)).order_by(id_, seq)
    return {row.taskgroup_id: row.watch_note for row in connection.execute(found)}
