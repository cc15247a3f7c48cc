"""Check what was kept of the upstream's claims about runs against the digests in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, select

from recorder.audit.verify.findings import Finding, ProblemKind
from recorder.audit.verify.raw_rows import RawRow, RawTables, Span
from recorder.ledger.entries import Action
from recorder.ledger.run_claims import (
    MalformedEventError,
    UpstreamReportedError,
    noted_digest,
    read_run_event,
)
from recorder.ledger.timestamps import format_time
from recorder.store.archive_tables import tombstones
from recorder.store.run_tables import run_snapshots
from recorder.store.tables import entries

_TIMES = ("created_at", "modified_at")


def check_snapshots(connection: Connection, span: Span) -> list[Finding]:
    """Return what is wrong with the snapshots of groups, in order.

    The digest of a snapshot is recomputed from what was said, and compared with the one in the note of its
    entry; the columns that reports use must be those that the words have. Of an archived group the entry is
    in the archive, and its snapshots are compared with their own digests only.
    """
    tables = RawTables(connection)
    snapshots, archived = tables.rows_of(run_snapshots, span), tables.rows_of(tombstones, span)
    found: list[Finding] = []
    kept = {(row["taskgroup_id"], row["seq"]): row for rows in snapshots.values() for row in rows}
    for taskgroup_id, seq in sorted(kept.keys() | _with_claims(tables, span), key=ascii):
        name = taskgroup_id if isinstance(taskgroup_id, str) else ascii(taskgroup_id)
        snapshot = kept.get((taskgroup_id, seq))
        is_named = taskgroup_id in archived or _is_named(connection, taskgroup_id, seq, snapshot)
        found += [
            Finding(name, seq if isinstance(seq, int) else 0, problem, detail)
            for problem, detail in _problems(tables, taskgroup_id, seq, snapshot, is_named=is_named)
        ]
    return found


def _problems(
    tables: RawTables, taskgroup_id: Any, seq: Any, snapshot: RawRow | None, *, is_named: bool
) -> Iterator[tuple[ProblemKind, str]]:
    if snapshot is None:
        yield ProblemKind.DIGEST_MISMATCH, "runs were added that belong to no snapshot"
        return
    digest, runs, wrong = sha256(), 0, 0
    for row in tables.claims(taskgroup_id, seq):
        said = row["said"]
        digest.update(
            (said if isinstance(said, str) else ascii(said)).encode(errors="surrogateescape") + b"\n"
        )
        runs += 1
        wrong += not _is_read_from(row, taskgroup_id)
    if digest.hexdigest() != snapshot["digest"] or runs != snapshot["runs"]:
        yield ProblemKind.DIGEST_MISMATCH, "the snapshot of runs does not match its digest"
    elif not is_named:
        yield ProblemKind.DIGEST_MISMATCH, "the snapshot of runs is not the one that the entry names"
    if wrong:
        rows = "1 row" if wrong == 1 else f"{wrong} rows"
        yield ProblemKind.DERIVED_MISMATCH, f"{rows} of the snapshot of runs: not what the provider said"


def _is_read_from(row: RawRow, taskgroup_id: Any) -> bool:
    """Whether the columns of a run are those that its words have."""
    try:
        claim = read_run_event(row["said"], taskgroup_id)
    except (MalformedEventError, UpstreamReportedError, TypeError, AttributeError):
        return False
    if claim is None:
        return False
    times = {name: (moment := getattr(claim, name)) and format_time(moment) for name in _TIMES}
    expected = {"run_id": claim.run_id, "processor": claim.processor, "status": claim.status, **times}
    return all(row[name] == value for name, value in expected.items())


def _is_named(connection: Connection, taskgroup_id: Any, seq: Any, snapshot: RawRow | None) -> bool:
    """Whether the note of the entry has the digest of the snapshot."""
    if snapshot is None or not (isinstance(taskgroup_id, str) and isinstance(seq, int)):
        return False
    own = entries.c
    which = own.taskgroup_id == taskgroup_id, own.seq == seq, own.watch_action == Action.NOTED.value
    note = connection.scalar(select(own.watch_note).where(*which))
    return isinstance(note, str) and noted_digest(note) == snapshot["digest"]


def _with_claims(tables: RawTables, span: Span) -> set[tuple[Any, Any]]:
    return {(row["taskgroup_id"], row["seq"]) for row in tables.snapshots_with_claims(span)}
