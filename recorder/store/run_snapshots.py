"""Snapshots of the runs of groups, as the upstream told them: kept apart from the ledger, and fixed in it.

An entry `noted` in the group's chain has the digest of the snapshot. No format of the ledger knows snapshots.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, literal, select, true

from recorder.clock import Clock
from recorder.completion.claimed_runs import ClaimedRun, FinishedSight
from recorder.ledger.entries import Action, Kind, WatchChange
from recorder.ledger.run_claims import RunClaim, snapshot_digest, snapshot_note
from recorder.ledger.status_fields import FINISHED_STATUSES, Phase
from recorder.ledger.timestamps import format_time, parse_our_time
from recorder.ledger.transitions import Rules, Transition, remark
from recorder.ledger.watch import Watch
from recorder.store.batches import Deadline, when_not_polled
from recorder.store.run_tables import run_claims, run_snapshots
from recorder.store.tables import entries, watches
from recorder.store.watch_changes import Enrolment, WatchOutcomes, cease_many, enrol_many, remark_many

ACTOR = "recorder"
"""The actor of the entries that fix snapshots."""
ENROLLED_NOTE = "backfill: kept without being watched"
_BATCH = 1000
_COLUMNS = ("run_id", "processor", "status", "created_at", "modified_at", "said")


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """A snapshot that was asked for at `asked_at` and complete at `taken_at`; `seq` is its entry's."""

    seq: int
    asked_at: datetime
    taken_at: datetime
    runs: int
    digest: str


class RunSpool:
    """A snapshot on its way, in a temporary file: of a run that came more than once, the last is kept."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(f"CREATE TABLE runs ({', '.join(_COLUMNS)}, PRIMARY KEY (run_id)) WITHOUT ROWID")

    def add(self, claim: RunClaim) -> None:
        created, modified = (
            None if moment is None else format_time(moment)
            for moment in (claim.created_at, claim.modified_at)
        )
        row = claim.run_id, claim.processor, claim.status, created, modified, claim.said
        self._connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", row)

    @property
    def runs(self) -> int:
        (count,) = self._connection.execute("SELECT count(*) FROM runs").fetchone()
        return int(count)

    def digest(self) -> str:
        """Return the digest of the snapshot."""
        return snapshot_digest(said for (said,) in self._rows("said"))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the columns of each run, by id."""
        for row in self._rows("*"):
            columns = dict(zip(_COLUMNS, row, strict=True))
            for name in ("created_at", "modified_at"):
                columns[name] = columns[name] and parse_our_time(columns[name])
            yield columns

    def _rows(self, columns: str) -> Iterable[tuple[Any, ...]]:
        # SQLite compares texts by their UTF-8 bytes.
        return self._connection.execute(f"SELECT {columns} FROM runs ORDER BY run_id")  # noqa: S608


@contextmanager
def run_spool() -> Iterator[RunSpool]:
    """Open a spool for the duration of the block."""
    with (
        TemporaryDirectory(prefix="recorder-runs-") as folder,
        closing(sqlite3.connect(f"{folder}/runs.db")) as connection,
    ):
        yield RunSpool(connection)


def keep_snapshot(
    engine: Engine,
    taskgroup_id: str,
    spool: RunSpool,
    *,
    asked_at: datetime,
    taken_at: datetime,
    actor: str,
    now: Clock,
    rules: Rules,
) -> RunSnapshot:
    """Keep a snapshot, and write the entry with its digest, in one transaction; return what was kept.

    A group that was never watched gets a ledger, in which it is stopped at once: it is not polled. A poll in
    flight is waited for a little, and made again after that.

    Raises:
        ArchivedGroupError: the group is archived.
        BrokenLedgerError: the watch row is missing or older than the ledger.
    """
    snapshot = RunSnapshot(0, asked_at, taken_at, spool.runs, spool.digest())
    note = WatchChange(Action.NOTED, ACTOR, snapshot_note(snapshot.runs, snapshot.digest))
    kept: list[RunSnapshot] = []

    def remark_on(watch: Watch, at: datetime) -> Transition:
        return remark(watch, note, at)

    def change(connection: Connection, ids: Sequence[str], *, claimed_too: bool) -> WatchOutcomes:
        is_new = _is_unknown(connection, taskgroup_id)
        if is_new:
            wanted = {taskgroup_id: Enrolment(ENROLLED_NOTE)}
            outcomes = enrol_many(connection, wanted, actor=actor, now=now, rules=rules)
            if isinstance(outcomes[taskgroup_id], Exception):
                return outcomes
        change_many = partial(remark_many, action=Action.NOTED, remark_on=remark_on, now=now)
        outcomes = change_many(connection, ids, claimed_too=claimed_too)
        if outcomes.get(taskgroup_id) is Action.NOTED:
            kept.append(_insert(connection, taskgroup_id, spool, snapshot))
            if is_new:
                stop = WatchChange(Action.STOPPED, actor, None)
                cease_many(connection, ids, stop, now=now, claimed_too=True)
        return outcomes

    for outcomes in when_not_polled(engine, [taskgroup_id], change, Deadline()):
        if isinstance(outcome := outcomes.get(taskgroup_id), Exception):
            raise outcome
    return kept[-1]


def find_snapshot(connection: Connection, taskgroup_id: str, seq: int | None = None) -> RunSnapshot | None:
    """Return a snapshot of a group, the newest unless `seq` says which; None if there is none."""
    own = run_snapshots.c
    which = true() if seq is None else own.seq == seq
    newest = select(run_snapshots).where(own.taskgroup_id == taskgroup_id, which)
    row = connection.execute(newest.order_by(own.seq.desc()).limit(1)).one_or_none()
    return None if row is None else RunSnapshot(row.seq, row.asked_at, row.taken_at, row.runs, row.digest)


def said_of(connection: Connection, taskgroup_id: str, seq: int) -> Iterator[str]:
    """Yield what was said about each run of a snapshot, in the order of the digest."""
    own = run_claims.c
    query = select(own.said).where(own.taskgroup_id == taskgroup_id, own.seq == seq).order_by(own.run_id)
    yield from connection.execution_options(yield_per=_BATCH).scalars(query)


def claims_of(connection: Connection, taskgroup_id: str, seq: int) -> list[ClaimedRun]:
    """Return the processor, status and times of each run of a snapshot."""
    own = run_claims.c
    columns = own.processor, own.status, own.created_at, own.modified_at
    query = select(*columns).where(own.taskgroup_id == taskgroup_id, own.seq == seq).order_by(own.run_id)
    return [ClaimedRun(*row) for row in connection.execute(query)]


def claims_after(
    connection: Connection, taskgroup_id: str, seq: int, after: str, limit: int
) -> list[tuple[str, ClaimedRun]]:
    """Return runs of a snapshot with their ids, in their order: those after the id `after`."""
    own = run_claims.c
    columns = own.run_id, own.processor, own.status, own.created_at, own.modified_at
    query = select(*columns).where(own.taskgroup_id == taskgroup_id, own.seq == seq, own.run_id > after)
    found = connection.execute(query.order_by(own.run_id).limit(limit))
    return [(run_id, ClaimedRun(*others)) for run_id, *others in found]


def finished_sights(connection: Connection, taskgroup_id: str) -> list[FinishedSight]:
    """Return how many runs of a group were seen to have finished, by each status that is clear."""
    own, after = entries.c, entries.alias()
    follows = (after.c.taskgroup_id == own.taskgroup_id) & (after.c.seq == own.seq + 1)
    joined = entries.outerjoin(after, follows).join(watches, watches.c.taskgroup_id == own.taskgroup_id)
    asked_at = func.coalesce(after.c.previous_last_asked_at, watches.c.last_asked_at, type_=own.at.type)
    finished = sum((func.coalesce(own[status], 0) for status in FINISHED_STATUSES), literal(0))
    query = select(own.seq, own.at, asked_at, finished, own.num_task_runs).select_from(joined)
    clear = own.kind == Kind.STATUS.value, own.phase != Phase.UNCLEAR.value
    query = query.where(own.taskgroup_id == taskgroup_id, *clear).order_by(own.seq)
    return [FinishedSight(*row) for row in connection.execute(query)]


def _is_unknown(connection: Connection, taskgroup_id: str) -> bool:
    known = select(func.count()).where(watches.c.taskgroup_id == taskgroup_id)
    return connection.scalar(known) == 0


def _insert(connection: Connection, taskgroup_id: str, spool: RunSpool, snapshot: RunSnapshot) -> RunSnapshot:
    head = select(watches.c.head_seq).where(watches.c.taskgroup_id == taskgroup_id)
    kept = replace(snapshot, seq=connection.execute(head).scalar_one())
    connection.execute(insert(run_snapshots), [{"taskgroup_id": taskgroup_id, **asdict(kept)}])
    rows = ({"taskgroup_id": taskgroup_id, "seq": kept.seq, **row} for row in spool.rows())
    while batch := list(islice(rows, _BATCH)):
        connection.execute(insert(run_claims), batch)
    return kept
