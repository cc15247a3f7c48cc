"""The record of an entry, as the program makes it."""

from __future__ import annotations

from typing import Any

from recorder.ledger.chain import record_of
from recorder.ledger.entries import Entry


def made_record(entry: Entry) -> dict[str, Any]:
    """Return the record that the entry's digest is computed from."""
    return record_of(
        taskgroup_id=entry.taskgroup_id,
        seq=entry.seq,
        at=entry.at,
        previous=entry.previous,
        content=entry.content,
    )
