"""Verify ledgers: recompute every digest, and check the rows beside each ledger against it.

Groups are read span by span, and the entries of a span piece by piece, each in its own snapshot: memory use
stays small, and no snapshot is held for long. Entries never change once they are written. The end of a
ledger is checked against its watch row and its derived rows in one snapshot, so that a running recorder
causes no findings.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, Float, and_, cast, func, select

from recorder.audit.verify.archived_check import check_archived
from recorder.audit.verify.derived_check import GroupRows, check_derived, compare_ended
from recorder.audit.verify.findings import Finding
from recorder.audit.verify.ledger_check import LedgerCheck
from recorder.audit.verify.raw_rows import GROUP_TABLES, RawRow, RawTables, RowPosition, Span, bound, id_order
from recorder.audit.verify.snapshot_check import check_snapshots
from recorder.audit.verify.tasks import Task
from recorder.store.archive_tables import tombstones
from recorder.store.derived import labelled
from recorder.store.engine import open_engine
from recorder.store.tables import episodes, group_labels, labelled_durations, summaries, watches
from recorder.store.transactions import reading

ENTRIES_AT_ONCE = 10_000
"""How many entries are read in one snapshot."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How much was verified, and the findings by group and `seq`."""

    entries: int = 0
    groups: int = 0
    findings: tuple[Finding, ...] = ()


def verify(engine: Engine, tasks: Sequence[Task]) -> Iterator[Checked]:
    """Verify groups, and yield the result of each piece, with findings in order.

    Raises:
        DatabaseUnavailableError: the database became unavailable.
    """
    for task in tasks:
        yield from _Verification(engine, task).pieces()
        with reading(engine) as connection:
            found = check_snapshots(connection, task.span)
        if found:
            yield Checked(findings=tuple(found))


def verify_task(engine: Engine, task: Task) -> Checked:
    """Verify the groups of one task, and return the result, with findings in order.

    Raises:
        DatabaseUnavailableError: the database became unavailable.
    """
    pieces = list(verify(engine, [task]))
    return Checked(
        sum(piece.entries for piece in pieces),
        sum(piece.groups for piece in pieces),
        tuple(finding for piece in pieces for finding in piece.findings),
    )


def verify_at_once(url: URL, tasks: Sequence[Task], jobs: int) -> Iterator[Checked]:
    """Verify groups in `jobs` processes, and yield the result of each task as `verify` does.

    Raises:
        DatabaseUnavailableError: the database became unavailable.
    """
    # This process may have threads and connections, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches every process of a terminal; this one handles it, and ends the others.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with context.Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
            # A signal that came meanwhile arrives here, where it ends the processes in good order.
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield from pool.imap(partial(_whole_task, url), tasks)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def known_of(engine: Engine, ids: Sequence[str]) -> set[str]:
    """Return those of `ids` that any table names.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    with reading(engine) as connection:
        found = (select(table.c.taskgroup_id).where(table.c.taskgroup_id.in_(ids)) for table in GROUP_TABLES)
        return {one for question in found for one in connection.scalars(question.distinct())}


def size_of(engine: Engine, ids: Sequence[str] | None = None) -> int:
    """Return how many entries the watch rows say there are.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    # As floats, so that any stored value can be summed.
    question = select(func.sum(cast(watches.c.head_seq, Float)))
    with reading(engine) as connection:
        named = question if ids is None else question.where(watches.c.taskgroup_id.in_(ids))
        return int(max(0.0, connection.scalar(named) or 0.0))


class _Verification:
    """One task in progress.

    `_at` is the entry that was read last. `_from` is the first group that is not checked to its end yet, with
    the number of its last episode that was compared. `_unfinished` is its ledger so far.
    """

    def __init__(self, engine: Engine, task: Task) -> None:
        self._engine = engine
        self._last = task.span.last
        self._heads = dict(task.heads)
        self._at = self._from = RowPosition(task.span.first)
        self._unfinished: LedgerCheck | None = None

    def pieces(self) -> Iterator[Checked]:
        is_done = False
        while not is_done:
            with reading(self._engine) as connection:
                checked = self._piece(connection)
            is_done = self._unfinished is None
            yield checked

    def _piece(self, connection: Connection) -> Checked:
        tables, begin = RawTables(connection), self._from
        ledgers = {} if self._unfinished is None else {begin.taskgroup_id: self._unfinished}
        entries = self._read(tables, ledgers)
        if entries == ENTRIES_AT_ONCE:
            unfinished = self._unfinished = ledgers.pop(self._at.taskgroup_id)
            end = self._from = RowPosition(self._at.taskgroup_id, unfinished.summary.work.episodes)
        else:
            self._unfinished, end = None, RowPosition(self._last)
        span = _SpanRows(connection, begin, end, is_whole=self._unfinished is None)
        if self._unfinished is not None:
            compare_ended(self._unfinished, span.of_group(end.taskgroup_id))
        checked = self._check_ends(span, ledgers)
        found = [finding for ledger in checked for finding in ledger.findings]
        if self._unfinished is not None:
            found += self._unfinished.findings
            self._unfinished.findings.clear()
        return Checked(entries, len(checked), tuple(sorted(found)))

    def _read(self, tables: RawTables, ledgers: dict[Any, LedgerCheck]) -> int:
        """Check the next entries one by one; return how many there were."""
        entries, row = 0, None
        for row in tables.entries(self._at, self._last, ENTRIES_AT_ONCE):
            ledger = ledgers.get(row[0])
            if ledger is None:
                ledger = ledgers[row[0]] = self._new_ledger(row[0])
            ledger.take(tuple(row))
            entries += 1
        if row is not None:
            self._at = RowPosition(row.taskgroup_id, row.seq)
        return entries

    def _check_ends(self, span: _SpanRows, ledgers: dict[Any, LedgerCheck]) -> list[LedgerCheck]:
        """Check the groups whose ledgers were read to their ends, and return their ledgers."""
        unfinished = None if self._unfinished is None else self._at.taskgroup_id
        ids = ledgers.keys() | span.ids() | {one for one in self._heads if span.reaches(one)}
        for taskgroup_id in ids - {unfinished}:
            ledger = ledgers.get(taskgroup_id)
            if ledger is None:
                ledger = ledgers[taskgroup_id] = self._new_ledger(taskgroup_id)
            tombstone = span.tombstone_of(taskgroup_id)
            if tombstone is None:
                check_derived(ledger, span.of_group(taskgroup_id))
            else:
                check_archived(ledger, span.of_group(taskgroup_id), tombstone)
        return list(ledgers.values())

    def _new_ledger(self, taskgroup_id: Any) -> LedgerCheck:
        name = taskgroup_id if isinstance(taskgroup_id, str) else ascii(taskgroup_id)
        return LedgerCheck(name, self._heads.pop(name, None))


class _SpanRows:
    """The rows that a snapshot has beside the ledgers of some groups."""

    def __init__(
        self, connection: Connection, after: RowPosition, until: RowPosition, *, is_whole: bool
    ) -> None:
        tables = RawTables(connection)
        span = Span(after.taskgroup_id, until.taskgroup_id)
        self._last = until.taskgroup_id
        self._episodes, self._milestones = (
            tables.episodes(after, until),
            tables.milestones(after, until),
        )
        self._watches, self._summaries, self._labels = (
            tables.rows_of(table, span) for table in (watches, summaries, group_labels)
        )
        self._tombstones = tables.rows_of(tombstones, span)
        self._not_labelled = _not_labelled(connection, span, is_whole=is_whole)

    def ids(self) -> set[Any]:
        """Return the ids of the groups that have any row."""
        by_group = (self._watches, self._summaries, self._episodes, self._milestones, self._labels)
        others = (self._tombstones, self._not_labelled)
        return {taskgroup_id for rows in (*by_group, *others) for taskgroup_id in rows}

    def reaches(self, taskgroup_id: str) -> bool:
        return id_order(taskgroup_id) <= id_order(self._last)

    def tombstone_of(self, taskgroup_id: Any) -> RawRow | None:
        return next(iter(self._tombstones.get(taskgroup_id, ())), None)

    def of_group(self, taskgroup_id: Any) -> GroupRows:
        return GroupRows(
            watches=self._watches.get(taskgroup_id, ()),
            summaries=self._summaries.get(taskgroup_id, ()),
            episodes=self._episodes.get(taskgroup_id, ()),
            milestones=self._milestones.get(taskgroup_id, ()),
            labels=self._labels.get(taskgroup_id, ()),
            is_labelled=taskgroup_id not in self._not_labelled,
        )


def _not_labelled(connection: Connection, span: Span, *, is_whole: bool) -> set[Any]:
    """Return the groups whose labelled durations are not their episodes once for each of their labels, except
    for the last group of the span unless that `is_whole`."""

    def of(column: ColumnElement[Any]) -> ColumnElement[bool]:
        first, last = bound(span.first), bound(span.last)
        return and_(column >= first, column <= last if is_whole else column < last)

    right = labelled(of(episodes.c.taskgroup_id))
    stored = select(labelled_durations).where(of(labelled_durations.c.taskgroup_id))
    found: set[Any] = set()
    with RawTables(connection).any_text():
        for differing in (right.except_(stored), stored.except_(right)):
            found.update(connection.scalars(select(differing.subquery().c.taskgroup_id).distinct()))
    return found


def _whole_task(url: URL, task: Task) -> Checked:
    engine = open_engine(url, read_only=True)
    try:
        return verify_task(engine, task)
    finally:
        engine.dispose()
