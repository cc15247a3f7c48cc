"""Which groups can be archived, and what holds back the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, Text, cast, func, select

from recorder.audit.verify.runner import verify
from recorder.audit.verify.tasks import tasks_of
from recorder.ledger.watch import WatchState
from recorder.store.derived import groups_with
from recorder.store.tables import entries, watches
from recorder.store.transactions import reading

ARCHIVABLE = (WatchState.RETIRED, WatchState.STOPPED, WatchState.GONE)
"""The states of a watch that has ended."""
_AT_ONCE = 200

Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


class HeldBack(StrEnum):
    """Why a group is not archived."""

    WATCHED = "watched"
    PAUSED = "paused"
    RECENT = "recent"
    POLLED = "polled"
    DAMAGED = "damaged"
    CHANGED = "changed"


HELD_BACK = {
    HeldBack.WATCHED: "being watched",
    HeldBack.PAUSED: "paused",
    HeldBack.RECENT: "with an entry that is not old enough",
    HeldBack.POLLED: "being polled at this moment",
    HeldBack.DAMAGED: "with findings of recorder verify",
    HeldBack.CHANGED: "changed meanwhile",
}
"""What groups are that are held back, for people."""


@dataclass(frozen=True, slots=True)
class ArchiveFilter:
    """Which groups to archive: those whose newest entry is from before `before`, with every one of `labels`
    (key, text of the value) in their metadata."""

    before: datetime
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """The groups that can go, how many they are, how many entries they have and about how many bytes these
    take, and why how many others are held back."""

    ids: Sequence[str]
    groups: int
    entries: int
    size: int
    held_back: Mapping[HeldBack, int]
    damaged: Sequence[str]


def plan_archive(engine: Engine, query: ArchiveFilter, now: datetime, tell: Tell) -> ArchivePlan:
    """Return what an archive would contain. Groups that do not verify are held back.

    Raises:
        DatabaseUnavailableError: the database cannot be read.
    """
    with reading(engine) as connection:
        sizes, held_back = _select(connection, query, now)
    damaged = sorted(_damaged(engine, list(sizes), tell))
    for taskgroup_id in damaged:
        del sizes[taskgroup_id]
    if damaged:
        held_back[HeldBack.DAMAGED] = len(damaged)
    size = 0
    for done, part in enumerate(_parts(list(sizes)), 1):
        with reading(engine) as connection:
            size += _bytes_of(connection, part)
        tell("measuring groups", min(done * _AT_ONCE, len(sizes)), len(sizes))
    ids = sorted(sizes, key=str.encode)
    return ArchivePlan(ids, len(ids), sum(sizes.values()), size, held_back, damaged)


def with_changed(plan: ArchivePlan, groups: int, entries: int, changed: int) -> ArchivePlan:
    """Return a plan with how much went in the end, and how many groups did not because they had changed."""
    more = {HeldBack.CHANGED: changed} if changed else {}
    return replace(plan, groups=groups, entries=entries, held_back={**plan.held_back, **more})


def _select(
    connection: Connection, query: ArchiveFilter, now: datetime
) -> tuple[dict[str, int], Counter[HeldBack]]:
    """Return the number of entries of each group that may go, and what holds back how many others."""
    columns = (watches.c.taskgroup_id, watches.c.state, watches.c.head_seq, watches.c.head_at)
    asked = select(*columns, watches.c.owner, watches.c.lease_until)
    for key, text in query.labels:
        asked = asked.where(watches.c.taskgroup_id.in_(groups_with(key, text)))
    sizes: dict[str, int] = {}
    held_back: Counter[HeldBack] = Counter()
    for row in connection.execute(asked):
        if row.state == WatchState.WATCHING:
            held_back[HeldBack.WATCHED] += 1
        elif row.state == WatchState.PAUSED:
            held_back[HeldBack.PAUSED] += 1
        elif row.head_at >= query.before:
            held_back[HeldBack.RECENT] += 1
        elif row.owner is not None and row.lease_until is not None and row.lease_until > now:
            held_back[HeldBack.POLLED] += 1
        else:
            sizes[row.taskgroup_id] = row.head_seq
    return sizes, held_back


def _damaged(engine: Engine, ids: Sequence[str], tell: Tell) -> set[str]:
    """Return which of the groups have findings. What is derived from a ledger cannot be mended once the
    entries are gone."""
    found: set[str] = set()
    for done, task in enumerate(tasks_of(engine, ids), 1):
        for checked in verify(engine, [task]):
            found.update(finding.taskgroup_id for finding in checked.findings)
        tell("verifying groups", done, len(ids))
    return found


def _bytes_of(connection: Connection, ids: Sequence[str]) -> int:
    """Return about how many bytes the entries of groups take: the length of their values as text."""
    lengths = (func.coalesce(func.length(cast(column, Text)), 0) for column in entries.c)
    total = sum(lengths, start=func.length(""))
    return int(connection.scalar(select(func.sum(total)).where(entries.c.taskgroup_id.in_(ids))) or 0)


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
