"""Verifying ledgers: every digest computed anew, and what stands beside each ledger held against it.

Groups are gone through span by span, the entries of a span piece by piece, and each piece in a snapshot of
its own: memory stays small, and no snapshot is held for long. Entries that were read once do not change;
the end of a ledger, its watch row and all that is derived from it are judged by one snapshot, so that a
recorder at work disturbs nothing.
"""

from __future__ import annotations

import multiprocessing
import signal
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, Float, and_, cast, func, select

from recorder.audit.checkpoints import CheckpointHead
from recorder.audit.verify.derived_check import Beside, check_derived, compare_ended
from recorder.audit.verify.findings import Finding
from recorder.audit.verify.ledger_check import Walk
from recorder.audit.verify.raw_rows import GROUP_TABLES, RawTables, RowPosition, Span, bound, id_order
from recorder.store.derived import labelled
from recorder.store.engine import open_engine
from recorder.store.tables import episodes, group_labels, labelled_durations, summaries, watches
from recorder.store.transactions import reading

ENTRIES_AT_ONCE = 10_000
"""How many entries are read in one snapshot."""
_GROUPS_AT_ONCE = 100

Heads = Mapping[str, CheckpointHead]
"""The heads of a checkpoint by the ids of their groups."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a stretch of a verification went through, and what it found, by group and `seq`."""

    entries: int = 0
    groups: int = 0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """A span of groups to verify, with those heads of a checkpoint that are in it."""

    span: Span
    heads: Heads = field(default_factory=dict)


def tasks_of(engine: Engine, ids: Sequence[str] | None = None, heads: Heads | None = None) -> list[Task]:
    """Return the tasks of a verification, in the order of ids: of the groups `ids`, else of all.

    All are those that any table of the database names, or the checkpoint.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    known = heads or {}
    if ids is not None:
        only = sorted(set(ids))
        return [Task(Span(one, one), {one: known[one]} if one in known else {}) for one in only]
    return list(_spans(engine, known))


def verify(engine: Engine, tasks: Sequence[Task]) -> Iterator[Checked]:
    """Verify groups; yield after each piece what it went through, findings in order.

    Raises:
        DatabaseUnavailableError: the database cannot be read any more.
    """
    for task in tasks:
        yield from _Verification(engine, task).pieces()


def verify_at_once(url: URL, tasks: Sequence[Task], jobs: int) -> Iterator[Checked]:
    """Verify groups in `jobs` processes; yields as `verify` does, a task at a time.

    Raises:
        DatabaseUnavailableError: the database cannot be read any more.
    """
    # Not forked: this process may have threads and connections, which a fork would break.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches every process of a terminal: it is for this one, which ends the others.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        pool = context.Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with pool:
        yield from pool.imap(partial(_whole_task, url), tasks)


def known_of(engine: Engine, ids: Sequence[str]) -> set[str]:
    """Return those of `ids` that the database knows anything of.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    with reading(engine) as connection:
        found = (select(table.c.taskgroup_id).where(table.c.taskgroup_id.in_(ids)) for table in GROUP_TABLES)
        return {one for question in found for one in connection.scalars(question.distinct())}


def size_of(engine: Engine, ids: Sequence[str] | None = None) -> int:
    """Return how many entries there should be, by the watch rows alone.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    # As floats: whatever the rows say, their sum is a number.
    question = select(func.sum(cast(watches.c.head_seq, Float)))
    with reading(engine) as connection:
        named = question if ids is None else question.where(watches.c.taskgroup_id.in_(ids))
        return int(max(0.0, connection.scalar(named) or 0.0))


class _Verification:
    """One task under way. `_at` is the entry that was read last; `_from` is the first group that is not
    judged yet, with the number of its last episode that was compared; `_walk` is its ledger so far."""

    def __init__(self, engine: Engine, task: Task) -> None:
        self._engine = engine
        self._last = task.span.last
        self._heads = dict(task.heads)
        self._at = self._from = RowPosition(task.span.first)
        self._walk: Walk | None = None

    def pieces(self) -> Iterator[Checked]:
        going_on = True
        while going_on:
            with reading(self._engine) as connection:
                checked = self._piece(connection)
            going_on = self._walk is not None
            yield checked

    def _piece(self, connection: Connection) -> Checked:
        tables, before = RawTables(connection), self._from
        walks = {} if self._walk is None else {before.taskgroup_id: self._walk}
        entries = self._read(tables, walks)
        if entries == ENTRIES_AT_ONCE:
            self._walk = walks.pop(self._at.taskgroup_id)
            self._from = RowPosition(self._at.taskgroup_id, self._walk.fold.summary.work.episodes)
            until = self._from
        else:
            self._walk, until = None, RowPosition(self._last)
        stretch = _Stretch(connection, before, until, whole=self._walk is None)
        if self._walk is not None:
            compare_ended(self._walk, stretch.episodes.get(until.taskgroup_id, ()))
        judged = self._judge(stretch, walks)
        found = [finding for walk in judged for finding in walk.findings]
        if self._walk is not None:
            found += self._walk.findings
            self._walk.findings.clear()
        return Checked(entries, len(judged), tuple(sorted(found)))

    def _read(self, tables: RawTables, walks: dict[Any, Walk]) -> int:
        """Go through the next entries; return how many there were."""
        entries, row = 0, None
        for row in tables.entries(self._at, self._last, ENTRIES_AT_ONCE):
            walk = walks.get(row[0])
            if walk is None:
                walk = walks[row[0]] = self._new_walk(row[0])
            walk.take(row)
            entries += 1
        if row is not None:
            self._at = RowPosition(row.taskgroup_id, row.seq)
        return entries

    def _judge(self, stretch: _Stretch, walks: dict[Any, Walk]) -> list[Walk]:
        """Judge the groups whose ledgers were read to their ends; return their walks."""
        unfinished = None if self._walk is None else self._at.taskgroup_id
        ids = walks.keys() | stretch.ids() | {one for one in self._heads if stretch.reaches(one)}
        for taskgroup_id in ids - {unfinished}:
            walk = walks.get(taskgroup_id)
            if walk is None:
                walk = walks[taskgroup_id] = self._new_walk(taskgroup_id)
            check_derived(walk, stretch.beside(taskgroup_id))
        return list(walks.values())

    def _new_walk(self, taskgroup_id: Any) -> Walk:
        name = taskgroup_id if isinstance(taskgroup_id, str) else ascii(taskgroup_id)
        return Walk(name, self._heads.pop(name, None))


class _Stretch:
    """What a snapshot has beside the ledgers of some groups."""

    def __init__(
        self, connection: Connection, after: RowPosition, until: RowPosition, *, whole: bool
    ) -> None:
        tables = RawTables(connection)
        span = Span(after.taskgroup_id, until.taskgroup_id)
        self._last = until.taskgroup_id
        self.episodes = tables.episodes(after, until)
        self._watches, self._summaries, self._labels = (
            tables.rows_of(table, span) for table in (watches, summaries, group_labels)
        )
        self._not_labelled = _not_labelled(connection, span, whole=whole)

    def ids(self) -> set[Any]:
        """Return the groups of which there is anything."""
        found = (self._watches, self._summaries, self.episodes, self._labels, self._not_labelled)
        return {taskgroup_id for rows in found for taskgroup_id in rows}

    def reaches(self, taskgroup_id: str) -> bool:
        return id_order(taskgroup_id) <= id_order(self._last)

    def beside(self, taskgroup_id: Any) -> Beside:
        return Beside(
            watches=self._watches.get(taskgroup_id, ()),
            summaries=self._summaries.get(taskgroup_id, ()),
            episodes=self.episodes.get(taskgroup_id, ()),
            labels=self._labels.get(taskgroup_id, ()),
            labelled=taskgroup_id not in self._not_labelled,
        )


def _not_labelled(connection: Connection, span: Span, *, whole: bool) -> set[Any]:
    """The groups whose labelled durations are not their episodes once for each of their labels; without the
    last group of the span if that is not read as a whole."""

    def of(column: ColumnElement[Any]) -> ColumnElement[bool]:
        first, last = bound(span.first), bound(span.last)
        return and_(column >= first, column <= last if whole else column < last)

    right = labelled(of(episodes.c.taskgroup_id))
    stored = select(labelled_durations).where(of(labelled_durations.c.taskgroup_id))
    found: set[Any] = set()
    with RawTables(connection).any_text():
        for differing in (right.except_(stored), stored.except_(right)):
            found.update(connection.scalars(select(differing.subquery().c.taskgroup_id).distinct()))
    return found


def _spans(engine: Engine, known: Heads) -> Iterator[Task]:
    heads = sorted(known)
    after: Any = None
    while True:
        with reading(engine) as connection:
            ids = RawTables(connection).ids_after(after, _GROUPS_AT_ONCE)
        position = 0 if after is None else bisect_right(heads, id_order(after), key=id_order)
        ids = sorted({*ids, *heads[position : position + _GROUPS_AT_ONCE]}, key=id_order)[:_GROUPS_AT_ONCE]
        if not ids:
            return
        after = ids[-1]
        yield Task(Span(ids[0], after), {one: known[one] for one in ids if one in known})


def _whole_task(url: URL, task: Task) -> Checked:
    engine = open_engine(url, read_only=True)
    try:
        pieces = list(verify(engine, [task]))
    finally:
        engine.dispose()
    return Checked(
        sum(piece.entries for piece in pieces),
        sum(piece.groups for piece in pieces),
        tuple(finding for piece in pieces for finding in piece.findings),
    )
