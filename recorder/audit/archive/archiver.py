"""Archive groups: write their ledgers to a file, prove the file, then let their entries go.

A kill at any moment leaves either all entries, or the tombstone and the whole file that it names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Row, delete, exists, false, insert, select
from sqlalchemy.exc import DBAPIError

from recorder.audit.archive.archive_file import (
    ArchivedLedger,
    discard_archive,
    opened_archive,
    read_ledgers,
    require_new,
    write_archive,
)
from recorder.audit.archive.selection import ARCHIVABLE, ArchivePlan, Tell
from recorder.audit.export_format import OPEN_LINE, ImportRefusedError
from recorder.audit.exporter import export_lines
from recorder.audit.file_sums import sum_of_file
from recorder.audit.tombstone_proof import kept_digest, tombstone_digest
from recorder.audit.verify.raw_rows import RawTables, Span, as_stored
from recorder.clock import Clock
from recorder.store.archive_tables import tombstones
from recorder.store.dialects.registry import dialect_of
from recorder.store.tables import entries, episodes, group_labels, milestones, summaries, watches
from recorder.store.tombstones import named_by
from recorder.store.transactions import DatabaseUnavailableError, reading, writing

_MOST_GROUPS = 200
_MOST_ENTRIES = 20_000
"""How much one transaction removes at most, unless a single group has more entries."""
_PAGES_AT_ONCE = 2000
_REST_SECONDS = 0.1
"""Others write between two transactions: SQLite's lock goes to whoever asks while it is free, and those who
wait ask every 0.1 s."""
_NOT_IN_WATCH = ("owner", "lease_until")


class ArchiveError(Exception):
    """Nothing more can be archived; the text says why, and what became of the file."""


@dataclass(frozen=True, slots=True)
class WrittenArchive:
    """A file that was read back and proven: its path, its SHA-256 and the ledgers in it."""

    path: Path
    sha256: str
    ledgers: Sequence[ArchivedLedger]


@dataclass(frozen=True, slots=True)
class Removed:
    """How many groups and entries a transaction let go, and how many groups it left, since they changed."""

    groups: int
    entries: int
    changed: int


def write_ledgers(engine: Engine, plan: ArchivePlan, path: Path, tell: Tell) -> WrittenArchive:
    """Write the ledgers of a plan to a new file, and read it back from the disk to prove it.

    Raises:
        OSError: the file cannot be written or read, or exists.
        ArchiveError: what was read back is not what was written; the file was removed.
        ExportError: a ledger cannot be read.
        DatabaseUnavailableError: the database cannot be read.
    """
    require_new(path)
    total = len(plan.ids)
    try:
        with reading(engine) as connection, closing(export_lines(connection, plan.ids)) as lines:
            dialect_of(connection).allow_idling(connection)
            digest = write_archive(path, _counted(lines, lambda done: tell("writing groups", done, total)))
        return WrittenArchive(path, digest, _read_back(path, digest, plan, tell))
    except FileExistsError:
        raise
    except BaseException:
        discard_archive(path)
        raise


def remove_ledgers(engine: Engine, archive: WrittenArchive, now: Clock) -> Iterator[Removed]:
    """Let the entries of an archive go, and leave tombstones; yield the outcome of each transaction.

    Groups that have changed since they were written stay as they are.

    Raises:
        DatabaseUnavailableError: the database cannot be used, or the role may not remove entries; what was
            yielded is archived.
    """
    for number, batch in enumerate(_batches(archive.ledgers)):
        if number:
            time.sleep(_REST_SECONDS)
        with writing(engine) as connection:
            removed = _remove(connection, batch, archive.sha256, now())
        yield removed
    more = True
    while more:
        with writing(engine) as connection:
            more = dialect_of(connection).shrink(connection, _PAGES_AT_ONCE)


def require_new_archive(engine: Engine, path: Path) -> None:
    """Refuse to write an archive where a file is.

    Raises:
        ArchiveError: a file of that name exists, or one with its sum; the text says who needs it.
        OSError: it cannot be read.
        DatabaseUnavailableError: the database cannot be used.
    """
    try:
        require_new(path)
    except FileExistsError as error:
        needed = 0
        if path.is_file():
            digest = sum_of_file(path)
            with reading(engine) as connection:
                needed = named_by(connection, digest)
        why = (
            f"{needed} archived group{'s need' if needed > 1 else ' needs'} it"
            if needed
            else "no archived group needs it, so an interrupted command may have left it: delete it, or give "
            "another name"
        )
        raise ArchiveError(f"{error.filename}: {error.strerror}; {why}") from None


def require_removal(engine: Engine) -> None:
    """Refuse to begin what the role could not finish.

    Raises:
        ArchiveError: it may not remove entries; the text says what helps.
        DatabaseUnavailableError: the database cannot be used.
    """
    try:
        with writing(engine) as connection:
            for table in (entries, watches):
                connection.execute(delete(table).where(false()))
    except DatabaseUnavailableError as error:
        cause = error.__cause__.orig if isinstance(error.__cause__, DBAPIError) else None
        if cause is not None and dialect_of(engine).lacks_privilege(cause):
            raise ArchiveError(
                f"{error}; archive as the owner of the tables, or let the recorder's role do so with: "
                "recorder db grants --archive --apply"
            ) from None
        raise


def _counted(lines: Iterator[bytes], done: Callable[[int], None]) -> Iterator[bytes]:
    groups = 0
    for line in lines:
        yield line
        if line.startswith(OPEN_LINE):
            groups += 1
            done(groups)


def _read_back(path: Path, digest: str, plan: ArchivePlan, tell: Tell) -> list[ArchivedLedger]:
    if sum_of_file(path) != digest:
        raise ArchiveError(f"{path}: what was read back is not what was written; it was removed again")
    ledgers = []
    try:
        with opened_archive(path) as (lines, _):
            for ledger in read_ledgers(lines):
                ledgers.append(ledger)
                tell("reading the file back", len(ledgers), len(plan.ids))
    except ImportRefusedError as error:
        raise ArchiveError(f"{path}: what was read back does not verify: {error}; it was removed") from None
    if [ledger.taskgroup_id for ledger in ledgers] != list(plan.ids):
        raise ArchiveError(f"{path}: a group was missing when it was read back; it was removed again")
    return ledgers


def _batches(ledgers: Sequence[ArchivedLedger]) -> Iterator[list[ArchivedLedger]]:
    batch: list[ArchivedLedger] = []
    size = 0
    for ledger in ledgers:
        if batch and (len(batch) == _MOST_GROUPS or size + ledger.head_seq > _MOST_ENTRIES):
            yield batch
            batch, size = [], 0
        batch.append(ledger)
        size += ledger.head_seq
    if batch:
        yield batch


def _remove(
    connection: Connection, batch: Sequence[ArchivedLedger], archive_sha256: str, now: datetime
) -> Removed:
    ids = [ledger.taskgroup_id for ledger in batch]
    locked = select(watches).where(watches.c.taskgroup_id.in_(ids)).order_by(watches.c.taskgroup_id)
    rows = {row.taskgroup_id: row for row in connection.execute(locked.with_for_update())}
    going = [ledger for ledger in batch if _is_unchanged(rows.get(ledger.taskgroup_id), ledger, now)]
    if going:
        put = [_tombstone(connection, one, rows[one.taskgroup_id], archive_sha256, now) for one in going]
        connection.execute(insert(tombstones), put)
        _delete(connection, going)
    size = sum(ledger.head_seq for ledger in going)
    return Removed(len(going), size, len(batch) - len(going))


def _is_unchanged(row: Row[Any] | None, ledger: ArchivedLedger, now: datetime) -> bool:
    if row is None or row.state not in ARCHIVABLE:
        return False
    if row.owner is not None and row.lease_until is not None and row.lease_until > now:
        return False
    return bool((row.head_seq, row.head_digest) == (ledger.head_seq, ledger.head_digest))


def _delete(connection: Connection, going: Sequence[ArchivedLedger]) -> None:
    ids = [ledger.taskgroup_id for ledger in going]
    mine = entries.c.taskgroup_id.in_(ids)
    is_head = exists().where(
        tombstones.c.taskgroup_id == entries.c.taskgroup_id, tombstones.c.head_seq == entries.c.seq
    )
    # The heads go last: an entry may go only while the head of its group stands.
    deleted = sum(
        connection.execute(delete(entries).where(mine, part)).rowcount for part in (~is_head, is_head)
    )
    if deleted != sum(ledger.head_seq for ledger in going):
        raise ArchiveError("the ledgers have other entries than their watch rows say; see: recorder verify")
    connection.execute(delete(watches).where(watches.c.taskgroup_id.in_(ids)))


def _tombstone(
    connection: Connection, ledger: ArchivedLedger, watch: Row[Any], archive_sha256: str, now: datetime
) -> dict[str, Any]:
    tables, span = RawTables(connection), Span(ledger.taskgroup_id, ledger.taskgroup_id)
    kept = (
        tables.rows_of(table, span).get(ledger.taskgroup_id, ())
        for table in (summaries, episodes, milestones, group_labels)
    )
    row: dict[str, Any] = {
        "taskgroup_id": ledger.taskgroup_id,
        "head_seq": ledger.head_seq,
        "head_digest": ledger.head_digest,
        "entries": ledger.head_seq,
        "first_at": ledger.first_at,
        "last_at": ledger.last_at,
        "archived_at": now,
        "archive_sha256": archive_sha256,
        "watch": orjson.dumps(_members(watch._mapping), option=orjson.OPT_SORT_KEYS).decode(),
        "kept": kept_digest(*kept),
    }
    return {**row, "digest": tombstone_digest(as_stored(row))}


def _members(watch: Mapping[Any, Any]) -> dict[str, Any]:
    return as_stored({str(name): value for name, value in watch.items() if name not in _NOT_IN_WATCH})
