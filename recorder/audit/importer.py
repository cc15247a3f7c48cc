"""Import an export: load its ledgers and watch rows into an empty database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from recorder.audit.export_format import ImportRefusedError, read_export
from recorder.clock import Clock
from recorder.ledger.entries import Entry
from recorder.ledger.watch import Watch, WatchState
from recorder.store.derived import apply_entries
from recorder.store.mapping import entry_row, watch_row
from recorder.store.tables import entries, watches

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Imported:
    """The numbers of imported entries and groups."""

    entries: int
    groups: int


def load(connection: Connection, lines: Iterable[bytes], *, gap_window: timedelta, now: Clock) -> Imported:
    """Load an export into an empty database, batch by batch, in the transaction of `connection`.

    `gap_window` is how late a response may be without a gap. A group that is gone is polled immediately; a
    watched one when it was due.

    Raises:
        ImportRefusedError: the export does not verify, or the database is not empty; roll back.
    """
    _require_empty(connection)
    counts = {Entry: 0, Watch: 0}
    read = read_export(lines, gap_window)
    while batch := list(islice(read, _BATCH)):
        for item in batch:
            counts[type(item)] += 1
        _put(connection, batch, now)
    return Imported(counts[Entry], counts[Watch])


def _require_empty(connection: Connection) -> None:
    for table in (watches, entries):
        if connection.execute(select(table.c.taskgroup_id).limit(1)).first() is not None:
            raise ImportRefusedError("the database has groups already; an export goes into an empty one")


def _put(connection: Connection, batch: Sequence[Entry | Watch], now: Clock) -> None:
    written = [item for item in batch if isinstance(item, Entry)]
    ended = [item for item in batch if isinstance(item, Watch)]
    try:
        if written:
            connection.execute(insert(entries), [entry_row(entry) for entry in written])
            apply_entries(connection, written)
        if ended:
            connection.execute(insert(watches), [_row(watch, now) for watch in ended])
    except IntegrityError:
        raise ImportRefusedError("somebody else enrols groups in the database meanwhile") from None


def _row(watch: Watch, now: Clock) -> dict[str, Any]:
    next_poll_at = now() if watch.state is WatchState.GONE else watch.due_at
    place = {"taskgroup_id": watch.taskgroup_id, "enrolled_at": watch.enrolled_at}
    return {**watch_row(watch), **place, "next_poll_at": next_poll_at}
