"""Derive groups anew in batches, while others record and read.

A batch is computed without any lock and written in a short transaction of its own, so it can be interrupted
at any moment: what is left is seen from the tables themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby

from sqlalchemy import Engine, select

from recorder.completion.summary import NOTHING, summarize
from recorder.store.derived import SummaryChange, find_summaries, rebuild_group, replace_derived
from recorder.store.dialects.registry import dialect_of
from recorder.store.history import read_entries_of
from recorder.store.tables import watches
from recorder.store.transactions import reading, writing
from recorder.store.underived import Deriving, groups_left

BATCH_GROUPS = 200
BATCH_ENTRIES = 2000
"""A batch has at most this many groups, and ends with the group that reaches this many entries."""


def rebuild_left(engine: Engine) -> Iterator[Deriving]:
    """Derive the groups whose summary is missing or has other rules; yield how many of them are done.

    It begins anywhere, and skips what others have derived meanwhile, so several can share the work.

    Raises:
        DatabaseUnavailableError: the database cannot be used now; the groups counted so far are done.
    """
    with reading(engine) as connection:
        left = groups_left(connection)
    first = secrets.randbelow(len(left)) if left else 0
    done = 0
    for batch in _batches([*left[first:], *left[:first]]):
        with reading(engine) as connection:
            known = find_summaries(connection, batch)
        others = _rebuild(engine, [one for one in batch if one not in known])
        for derived in chain([len(known)], others):
            if derived:
                done += derived
                yield Deriving(done, len(left))


def rebuild_all(engine: Engine) -> Iterator[int]:
    """Derive every group anew; yield how many are done.

    Raises:
        DatabaseUnavailableError: the database cannot be used now; the groups counted so far are done.
    """
    with reading(engine) as connection:
        ids = connection.scalars(select(watches.c.taskgroup_id).order_by(watches.c.taskgroup_id)).all()
    return rebuild_groups(engine, ids)


def rebuild_groups(engine: Engine, taskgroup_ids: Iterable[str]) -> Iterator[int]:
    """Derive groups that have a watch anew, as `rebuild_all` does for all of them."""
    ids, done = list(taskgroup_ids), 0
    with reading(engine) as connection:
        found = connection.execute(select(watches.c.taskgroup_id, watches.c.head_seq))
        sizes: dict[str, int] = {row.taskgroup_id: row.head_seq for row in found}
    for batch in _batches([(one, sizes.get(one, 0)) for one in ids]):
        for rebuilt in _rebuild(engine, batch):
            done += rebuilt
            yield done


def _batches(groups: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for taskgroup_id, entries in groups:
        batch.append(taskgroup_id)
        size += entries
        if len(batch) == BATCH_GROUPS or size >= BATCH_ENTRIES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _rebuild(engine: Engine, batch: Sequence[str]) -> Iterator[int]:
    """Derive groups anew, those alone to which somebody is writing meanwhile; yield how many are done."""
    if not batch:
        return
    changes = {}
    with reading(engine) as connection:
        dialect_of(connection).allow_idling(connection)
        for taskgroup_id, ledger in groupby(
            read_entries_of(connection, batch), lambda entry: entry.taskgroup_id
        ):
            changes[taskgroup_id] = SummaryChange(taskgroup_id, NOTHING, *summarize(NOTHING, ledger))
    with writing(engine) as connection:
        statement = select(watches.c.taskgroup_id, watches.c.head_seq)
        statement = statement.where(watches.c.taskgroup_id.in_(batch)).order_by(watches.c.taskgroup_id)
        # Nothing is waited for here, so nobody who holds rows and waits for these can wait for ever.
        locked = connection.execute(statement.with_for_update(skip_locked=True))
        heads = {row.taskgroup_id: row.head_seq for row in locked}
        whole = [change for one, change in changes.items() if heads.get(one) == change.after.seq]
        replace_derived(connection, whole)
    yield len(whole)
    written = {change.taskgroup_id for change in whole}
    for taskgroup_id in batch:
        if taskgroup_id not in written:
            _rebuild_alone(engine, taskgroup_id)
            yield 1


def _rebuild_alone(engine: Engine, taskgroup_id: str) -> None:
    with writing(engine) as connection:
        dialect_of(connection).allow_idling(connection)
        # A recorder that has an entry to write meanwhile waits for the group's row.
        mine = watches.c.taskgroup_id == taskgroup_id
        if connection.execute(select(watches.c.taskgroup_id).where(mine).with_for_update()).first():
            rebuild_group(connection, taskgroup_id)
