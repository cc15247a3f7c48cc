"""Read ledgers and their watch rows from a database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, select

from recorder.ledger.entries import Entry, Interval
from recorder.ledger.watch import Watch
from recorder.store.mapping import entry_of, watch_of
from recorder.store.tables import entries, watches


@dataclass(frozen=True, slots=True)
class Ledger:
    """A group's entries in order of `seq`, and its watch row."""

    entries: list[Entry]
    watch: Watch

    @property
    def intervals(self) -> list[Interval | None]:
        """The interval of each entry, taken from the next entry, or from the watch row for the last one."""
        return [*(entry.previous for entry in self.entries[1:]), self.watch.open]

    @property
    def statuses(self) -> Iterator[tuple[Entry, Interval]]:
        """The status entries with their intervals."""
        for entry, interval in zip(self.entries, self.intervals, strict=True):
            if interval is not None:
                yield entry, interval


def read_ledgers(engine: Engine) -> dict[str, Ledger]:
    """Read every group's ledger in one snapshot."""
    with engine.connect() as connection:
        by_group: dict[str, list[Entry]] = {}
        for row in connection.execute(select(entries).order_by(entries.c.taskgroup_id, entries.c.seq)):
            by_group.setdefault(row.taskgroup_id, []).append(entry_of(row))
        rows = connection.execute(select(watches)).all()
    assert by_group.keys() == {row.taskgroup_id for row in rows}
    return {row.taskgroup_id: Ledger(by_group[row.taskgroup_id], watch_of(row)) for row in rows}
