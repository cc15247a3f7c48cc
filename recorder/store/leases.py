"""Claim groups that are due, and write the results of their polls.

A claim is a lease: the group's owner and the lease's end. A result is written only if the group still has the
owner, the lease and the head of its claim. Otherwise another recorder has claimed the group meanwhile, and
the result is dropped with all its entries.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from math import inf
from typing import Any

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from recorder.ledger.entries import Entry
from recorder.ledger.watch import Watch
from recorder.store.derived import SummaryChange, apply_entries
from recorder.store.dialects.base import ROWS, StoreDialect
from recorder.store.dialects.registry import dialect_of, evaluated_once
from recorder.store.events import write_events
from recorder.store.mapping import (
    ENTRY_COLUMNS,
    POLL_COLUMNS,
    entry_row,
    entry_values,
    poll_values,
    watch_of,
)
from recorder.store.tables import entries, watches


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to poll one group until `lease_until`, with its watch at the time of the claim."""

    watch: Watch
    owner: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class PollResult:
    """The result of a claim: the entries to write, the new watch, and when to poll the group next."""

    claim: Claim
    entries: Sequence[Entry]
    watch: Watch
    next_poll_at: datetime | None
    interval_seconds: float | None


@dataclass(frozen=True, slots=True)
class WrittenResults:
    """The results that were written, because their claims still held, and what their entries changed."""

    results: list[PollResult]
    changes: list[SummaryChange]


def due_order(claim: Claim) -> float:
    """The order in which polls start: if not all of them can, the group longest due must be among them."""
    due_at = claim.watch.poll_due_at
    return inf if due_at is None else due_at.timestamp()


def claim_due(
    connection: Connection,
    *,
    owner: str,
    now: datetime,
    lease_until: datetime,
    limit: int,
    gap_before: datetime | None = None,
) -> list[Claim]:
    """Claim up to `limit` groups that are due at `now`, the most overdue first.

    With `gap_before` only groups that no poll has failed for and whose gap opens before that time.

    A claim changes no indexed column, which makes it cheap. The groups of a recorder that died become due
    again when their leases end, without any cleanup.
    """
    urgent = [] if gap_before is None else [watches.c.gap_at < gap_before, watches.c.failures.is_(None)]
    unclaimed = or_(watches.c.lease_until.is_(None), watches.c.lease_until <= now)
    due = evaluated_once(
        select(watches.c.taskgroup_id)
        .where(watches.c.next_poll_at <= now, unclaimed, *urgent)
        .order_by(watches.c.next_poll_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    statement = (
        update(watches)
        .where(watches.c.taskgroup_id.in_(select(due.c.taskgroup_id)))
        .values(owner=owner, lease_until=lease_until)
        .returning(watches)
    )
    return [Claim(watch_of(row), owner, lease_until) for row in connection.execute(statement)]


def write_results(connection: Connection, batch: Sequence[PollResult]) -> WrittenResults:
    """Write the results of a batch of claims, as far as the claims still hold."""
    # A group that was claimed twice can be in a batch twice. One of its claims is lost, and only the fence
    # knows which, so the two are tried in separate statements.
    kept = []
    for part in _without_repeats(batch):
        ids = _update_watches(connection, part)
        kept += [result for result in part if result.watch.taskgroup_id in ids]
    written = [entry for result in kept for entry in result.entries]
    if not written:
        return WrittenResults(kept, [])
    dialect_of(connection).write_rows(connection, entries, [entry_row(entry) for entry in written])
    changes = apply_entries(connection, written)
    write_events(connection, changes, written)
    return WrittenResults(kept, changes)


def _without_repeats(batch: Sequence[PollResult]) -> list[list[PollResult]]:
    """Split a batch into parts that have each group at most once, in the order of the ids."""
    parts: list[dict[str, PollResult]] = []
    for result in batch:
        taskgroup_id = result.watch.taskgroup_id
        part = next((part for part in parts if taskgroup_id not in part), None)
        if part is None:
            parts.append(part := {})
        part[taskgroup_id] = result
    return [[result for _, result in sorted(part.items())] for part in parts]


def release(connection: Connection, owners: Collection[str]) -> int:
    """Release all claims of `owners` whose polls did not finish; return how many there were.

    The groups are due again at once, and keep their place in the order of claims. Rows that another session
    has locked are skipped: their leases end by themselves.
    """
    claimed = (
        select(watches.c.taskgroup_id).where(watches.c.owner.in_(owners)).with_for_update(skip_locked=True)
    )
    statement = (
        update(watches).where(watches.c.taskgroup_id.in_(claimed)).values(owner=None, lease_until=None)
    )
    return connection.execute(statement).rowcount


_CLAIMED = ("taskgroup_id", "owner", "lease_until", "head_seq")
"""The columns that must still be as the claim left them."""
_PLANNED = ("next_poll_at", "interval_seconds")


def _update_watches(connection: Connection, part: Sequence[PollResult]) -> set[str]:
    """Update the watches whose claims still hold; return the ids of their groups."""
    dialect = dialect_of(connection)
    ids: set[str] = set()
    # Most polls bring nothing new, and change few columns.
    for changed, names in ((False, POLL_COLUMNS), (True, ENTRY_COLUMNS + POLL_COLUMNS)):
        rows = [_values_of(result) for result in part if bool(result.entries) is changed]
        if rows:
            ids.update(connection.scalars(_updates(dialect, names), {ROWS: dialect.rows_value(rows)}))
    return ids


@cache
def _updates(dialect: StoreDialect, names: tuple[str, ...]) -> ReturningUpdate[Any]:
    """Return the statement whose only parameter is all rows, so that it is the same for every batch."""
    changed = (*names, *_PLANNED)
    given = dialect.rows_of([watches.c[name].type for name in (*_CLAIMED, *changed)])
    claimed, new = given[: len(_CLAIMED)], given[len(_CLAIMED) :]
    return (
        update(watches)
        .where(*(watches.c[name] == value for name, value in zip(_CLAIMED, claimed, strict=True)))
        .values({**dict(zip(changed, new, strict=True)), "owner": None, "lease_until": None})
        .returning(watches.c.taskgroup_id)
    )


def _values_of(result: PollResult) -> tuple[Any, ...]:
    claim, watch = result.claim, result.watch
    claimed = (watch.taskgroup_id, claim.owner, claim.lease_until, claim.watch.head.seq)
    changed = (*entry_values(watch), *poll_values(watch)) if result.entries else poll_values(watch)
    return *claimed, *changed, result.next_poll_at, result.interval_seconds
