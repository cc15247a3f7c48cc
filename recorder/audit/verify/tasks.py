"""Divide a verification into tasks: spans of groups, in the order of their ids."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Engine, and_, select

from recorder.audit.checkpoints import CheckpointHead
from recorder.audit.verify.raw_rows import RawRow, RawTables, Span, bound, id_order
from recorder.audit.verify.row_decoder import UNDECODABLE, moment_of
from recorder.store.tables import entries, watches
from recorder.store.transactions import reading

_GROUPS_AT_ONCE = 100

Heads = Mapping[str, CheckpointHead]
"""The heads of a checkpoint by the ids of their groups."""


@dataclass(frozen=True, slots=True)
class Task:
    """A span of groups to verify, with the checkpoint heads that are in it."""

    span: Span
    heads: Heads = field(default_factory=dict)


def tasks_of(
    engine: Engine,
    ids: Sequence[str] | None = None,
    heads: Heads | None = None,
    *,
    changed_only: bool = False,
) -> list[Task]:
    """Return the tasks to verify the groups `ids`, by default all groups, in the order of their ids.

    All groups are those that any table of the database names, or the checkpoint; with `changed_only`, those
    of them whose ledgers do not end with the heads of the checkpoint.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    known = heads or {}
    if ids is not None:
        only = sorted(set(ids))
        return [Task(Span(one, one), {one: known[one]} if one in known else {}) for one in only]
    return list(spans_after(engine, None, known, changed_only=changed_only))


def spans_after(
    engine: Engine,
    after: Any,
    heads: Heads,
    *,
    changed_only: bool = False,
    groups_at_once: int = _GROUPS_AT_ONCE,
) -> Iterator[Task]:
    """Yield the tasks to verify the groups that follow the id `after`, or all, as `tasks_of` does.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    names = sorted(heads)
    while True:
        position = 0 if after is None else bisect_right(names, id_order(after), key=id_order)
        with reading(engine) as connection:
            found = RawTables(connection).ids_after(after, groups_at_once)
            found += names[position : position + groups_at_once]
            ids = sorted(set(found), key=id_order)[:groups_at_once]
            left_out = _unchanged(connection, ids, heads) if changed_only and ids else set()
        if not ids:
            return
        after = ids[-1]
        for is_left_out, part in groupby(ids, left_out.__contains__):
            if not is_left_out:
                span = list(part)
                yield Task(Span(span[0], span[-1]), {one: heads[one] for one in span if one in heads})


def _unchanged(connection: Connection, ids: Sequence[Any], heads: Heads) -> set[Any]:
    """Return the groups whose ledgers end with the entries that the checkpoint names, and whose watch rows
    say so too. Nothing else is compared."""
    tables, first, last = RawTables(connection), bound(ids[0]), bound(ids[-1])
    rows = tables.rows_of(watches, Span(ids[0], ids[-1]))
    named = and_(entries.c.taskgroup_id == watches.c.taskgroup_id, entries.c.seq >= watches.c.head_seq)
    asked = select(entries.c.taskgroup_id, entries.c.seq, entries.c.digest).join(watches, named)
    asked = asked.where(watches.c.taskgroup_id >= first, watches.c.taskgroup_id <= last)
    newest: dict[Any, list[tuple[Any, Any]]] = {}
    with tables.any_text():
        for row in connection.execute(asked):
            newest.setdefault(row.taskgroup_id, []).append((row.seq, row.digest))
    return {
        one
        for one in ids
        if one in heads and _ends_with(heads[one], next(iter(rows.get(one, ())), None), newest.get(one, []))
    }


def _ends_with(head: CheckpointHead, watch: RawRow | None, newest: list[tuple[Any, Any]]) -> bool:
    if watch is None or newest != [(head.seq, head.digest)]:
        return False
    if (watch["head_seq"], watch["head_digest"]) != (head.seq, head.digest):
        return False
    if head.last_seen_at is None or head.polls is None:
        return True
    try:
        seen = moment_of(watch["last_seen_at"])
    except UNDECODABLE:
        return False
    polls = watch["polls"]
    return seen is not None and seen >= head.last_seen_at and type(polls) is int and polls >= head.polls
