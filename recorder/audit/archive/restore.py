"""Bring archived groups back: entries, watch rows and all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from recorder.audit.archive.archive_file import NO_GAPS, ArchivedLedger, opened_archive, read_ledgers
from recorder.audit.export_format import ImportRefusedError, read_export
from recorder.audit.file_sums import sum_of_file
from recorder.completion.summary import SUMMARY_RULES
from recorder.ledger.entries import Entry
from recorder.ledger.timestamps import parse_time
from recorder.ledger.watch import Watch
from recorder.store.archive_tables import tombstones
from recorder.store.derived import rebuild_group
from recorder.store.dialects.registry import dialect_of
from recorder.store.mapping import entry_row
from recorder.store.tables import Time, entries, summaries, watches
from recorder.store.tombstones import Tombstone, find_tombstones, named_by
from recorder.store.transactions import reading, writing

_ROWS_AT_ONCE = 500
_MOST_GROUPS = 200
_MOST_ENTRIES = 20_000
"""After how many groups or entries a transaction ends."""
_IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """The groups of a file that are to come back, how many entries these have, how many groups of the file
    stand in the database already, and how many are archived in another file."""

    ids: frozenset[str]
    entries: int
    present: int
    elsewhere: int


@dataclass(frozen=True, slots=True)
class Restored:
    """How many groups and entries a transaction brought back."""

    groups: int
    entries: int


def plan_restore(engine: Engine, path: Path, read: Callable[[int], None]) -> RestorePlan:
    """Prove a whole archive against the tombstones; `read` is told how many bytes are done.

    Groups that were not removed when the file was written, and were archived later, stay in the later file.

    Raises:
        ImportRefusedError: the file does not verify, or is not the archive that the tombstones name.
        OSError: it cannot be read.
        DatabaseUnavailableError: the database cannot be read.
    """
    ledgers = []
    with opened_archive(path) as (lines, position):
        for ledger in read_ledgers(lines):
            ledgers.append(ledger)
            read(position())
    digest = sum_of_file(path)
    wanted: dict[str, int] = {}
    elsewhere = 0
    for start in range(0, len(ledgers), _IDS_AT_ONCE):
        with reading(engine) as connection:
            part, others = _wanted(connection, ledgers[start : start + _IDS_AT_ONCE], digest)
        wanted |= part
        elsewhere += others
    present = len(ledgers) - len(wanted) - elsewhere
    return RestorePlan(frozenset(wanted), sum(wanted.values()), present, elsewhere)


def restore_groups(engine: Engine, path: Path, plan: RestorePlan) -> Iterator[Restored]:
    """Bring groups back; yield the outcome of each transaction, which brings back whole groups.

    Raises:
        ImportRefusedError: the file was changed meanwhile.
        OSError: it cannot be read.
        DatabaseUnavailableError: the database cannot be used; what was yielded is back.
    """
    with opened_archive(path) as (lines, _):
        items, more = read_export(lines, NO_GAPS), True
        while more:
            try:
                with writing(engine) as connection:
                    dialect_of(connection).allow_idling(connection)
                    done, more = _restore_some(connection, items, plan.ids)
            except IntegrityError:
                raise ImportRefusedError("somebody else brings back the same groups meanwhile") from None
            yield done


def _wanted(
    connection: Connection, ledgers: Sequence[ArchivedLedger], digest: str
) -> tuple[dict[str, int], int]:
    """Return how many entries each ledger has that is to come back, and how many are in another archive; the
    others must stand already."""
    known = find_tombstones(connection, [ledger.taskgroup_id for ledger in ledgers])
    proven = named_by(connection, digest) > 0
    wanted: dict[str, int] = {}
    elsewhere = 0
    for ledger in ledgers:
        tombstone = known.get(ledger.taskgroup_id)
        if tombstone is None:
            if not stands(connection, ledger):
                raise ImportRefusedError(
                    f"{ledger.taskgroup_id!r} is neither archived nor recorded in this database; an archive "
                    "of another database goes into an empty one, without --restore"
                )
        elif proven and is_elsewhere(ledger, tombstone, digest):
            elsewhere += 1
        elif (tombstone.archive_sha256, tombstone.head_digest) != (digest, ledger.head_digest):
            raise ImportRefusedError(
                f"this is not the file in which {ledger.taskgroup_id!r} was archived: its SHA-256 is "
                f"{digest}, and should be {tombstone.archive_sha256}"
            )
        else:
            wanted[ledger.taskgroup_id] = ledger.head_seq
    return wanted, elsewhere


def is_elsewhere(ledger: ArchivedLedger, tombstone: Tombstone, digest: str) -> bool:
    """Whether a ledger, in the archive with this SHA-256, was archived later, into another file.

    Only of an archive that some tombstone names is this good news: its bytes are then as they were written.
    """
    head = (ledger.head_seq, ledger.head_digest)
    grown = ledger.head_seq < tombstone.head_seq or head == (tombstone.head_seq, tombstone.head_digest)
    return tombstone.archive_sha256 != digest and grown


def stands(connection: Connection, ledger: ArchivedLedger) -> bool:
    """Whether the database has the head of a ledger."""
    mine = entries.c.taskgroup_id == ledger.taskgroup_id, entries.c.seq == ledger.head_seq
    return connection.scalar(select(entries.c.digest).where(*mine)) == ledger.head_digest


def _restore_some(
    connection: Connection, items: Iterator[Entry | Watch], ids: Collection[str]
) -> tuple[Restored, bool]:
    """Bring back the next groups; return how many there were, and whether there may be more."""
    waiting: list[Entry] = []
    groups = size = 0
    for item in items:
        if item.taskgroup_id not in ids:
            continue
        if isinstance(item, Entry):
            waiting.append(item)
            size += 1
            if len(waiting) == _ROWS_AT_ONCE:
                _write(connection, waiting)
            continue
        _write(connection, waiting)
        _finish(connection, item.taskgroup_id)
        groups += 1
        if groups == _MOST_GROUPS or size >= _MOST_ENTRIES:
            return Restored(groups, size), True
    return Restored(groups, size), False


def _write(connection: Connection, waiting: list[Entry]) -> None:
    dialect_of(connection).write_rows(connection, entries, [entry_row(entry) for entry in waiting])
    waiting.clear()


def _finish(connection: Connection, taskgroup_id: str) -> None:
    """Replace the tombstone of a group, whose entries stand again, by its watch row."""
    mine = tombstones.c.taskgroup_id == taskgroup_id
    watch = connection.execute(select(tombstones.c.watch).where(mine)).scalar_one_or_none()
    if watch is None:
        raise ImportRefusedError(f"somebody else has brought back {taskgroup_id!r} meanwhile")
    connection.execute(delete(tombstones).where(mine))
    connection.execute(insert(watches).values(_watch_row(orjson.loads(watch))))
    rules = select(summaries.c.rules).where(summaries.c.taskgroup_id == taskgroup_id)
    if connection.scalar(rules) != SUMMARY_RULES:
        rebuild_group(connection, taskgroup_id)


def _watch_row(members: dict[str, Any]) -> dict[str, Any]:
    """Return the row that a tombstone keeps; columns that are newer than it are left out."""
    return {
        column.name: parse_time(value) if isinstance(column.type, Time) else value
        for column in watches.c
        if (value := members.get(column.name)) is not None
    }
