"""What the entries of a ledger changed, described for the lines of its history."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection

from recorder.ledger.entries import REMARKS, Action, Kind, WatchChange
from recorder.queries.change_text import ReportedStatus, status_text, watch_text
from recorder.store.history import Item, StatusItem, find_entries, statuses_before


@dataclass(slots=True)
class Descriptions:
    """The entries to describe, and those they are compared with."""

    entries: dict[int, Item] = field(default_factory=dict)
    statuses_before: dict[int, int] = field(default_factory=dict)

    def read(self, connection: Connection, taskgroup_id: str, items: list[Item]) -> None:
        """Add `items`, the entries to describe, and read those they are compared with."""
        compared = [item.seq for item in items if item.kind is not Kind.GAP]
        self.statuses_before = statuses_before(connection, taskgroup_id, compared)
        self.entries = {item.seq: item for item in items}
        others = {*(seq - 1 for seq in compared), *self.statuses_before.values()} - self.entries.keys()
        self.entries |= find_entries(connection, taskgroup_id, others)

    def of(self, seq: int) -> str:
        """Describe what a watch or status entry changed."""
        entry, previous = self.entries[seq], self.entries.get(seq - 1)
        if isinstance(entry.content, WatchChange):
            change = None if previous is None else previous.content
            return watch_text(entry.content, change if isinstance(change, WatchChange) else None)
        before = self.entries.get(self.statuses_before.get(seq, 0))
        return status_text(
            None if before is None else _reported_status(before),
            _reported_status(entry),
            None if previous is None else _follows(previous),
        )


def _follows(previous: Item) -> Kind | Action:
    content = previous.content
    if isinstance(content, WatchChange) and content.action in REMARKS:
        return content.action
    return previous.kind


def _reported_status(item: Item) -> ReportedStatus:
    if not isinstance(item.content, StatusItem):
        raise TypeError(f"entry {item.seq} is not a status")
    return ReportedStatus(item.content.fields.phase, item.content.value)
