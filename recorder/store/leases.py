"""Claim groups that are due, and write the results of their polls.

A claim is a lease: the group's owner and the lease's end. A result is written only if the group still has the
owner, the lease and the head of its claim. Otherwise another recorder has claimed the group meanwhile, and
the result is dropped with all its entries.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, cast, column, insert, literal, select, update, values

from recorder.ledger.entries import Entry
from recorder.ledger.watch import Watch
from recorder.store.derived import SummaryChange, apply_entries
from recorder.store.dialects.registry import evaluated_once
from recorder.store.mapping import entry_row, watch_of, watch_row
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

    `next_poll_at` is set to the lease's end: one plain index is enough then, and the groups of a recorder
    that died become due again without any cleanup.
    """
    urgent = [] if gap_before is None else [watches.c.gap_at < gap_before, watches.c.failures.is_(None)]
    due = evaluated_once(
        select(watches.c.taskgroup_id)
        .where(watches.c.next_poll_at <= now, *urgent)
        .order_by(watches.c.next_poll_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    statement = (
        update(watches)
        .where(watches.c.taskgroup_id.in_(select(due.c.taskgroup_id)))
        .values(owner=owner, lease_until=lease_until, next_poll_at=lease_until)
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
    connection.execute(insert(entries), [entry_row(entry) for entry in written])
    return WrittenResults(kept, apply_entries(connection, written))


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


def release(connection: Connection, owners: Collection[str], now: datetime) -> int:
    """Release all claims of `owners` whose polls did not finish; return how many there were.

    The groups are due again at once, and keep their place in the order of claims. Rows that another session
    has locked are skipped: their leases end by themselves.
    """
    claimed = (
        select(watches.c.taskgroup_id).where(watches.c.owner.in_(owners)).with_for_update(skip_locked=True)
    )
    was_due_at = watches.c.poll_due_at
    due_at = case((was_due_at < now, was_due_at), else_=literal(now, was_due_at.type))
    statement = (
        update(watches)
        .where(watches.c.taskgroup_id.in_(claimed))
        .values(owner=None, lease_until=None, next_poll_at=due_at)
    )
    return connection.execute(statement).rowcount


_FENCE = ("taskgroup_id", "owner", "lease_until", "head_seq")
_UPDATED = (
    *("state", "head_seq", "head_kind", "head_at", "head_digest", "due_at", "gap_at", "poll_due_at"),
    *("last_asked_at", "last_seen_at", "polls", "status_seq", "fingerprint", "phase", "finished"),
    *("modified_at", "quiet_since", "failures", "next_poll_at", "interval_seconds"),
)


def _update_watches(connection: Connection, part: Sequence[PollResult]) -> set[str]:
    """Update the watches whose claims still hold; return the ids of their groups."""
    columns = [column(f"claimed_{name}", watches.c[name].type) for name in _FENCE]
    columns += [column(name, watches.c[name].type) for name in _UPDATED]
    rows = values(*columns, name="results").data([_update_values(result) for result in part]).cte("results")
    # A column that is NULL in every row would be taken for text.
    updated = {name: cast(rows.c[name], watches.c[name].type) for name in _UPDATED}
    statement = (
        update(watches)
        .where(*(watches.c[name] == rows.c[f"claimed_{name}"] for name in _FENCE))
        .values(updated | {"owner": None, "lease_until": None})
        .returning(watches.c.taskgroup_id)
    )
    return set(connection.scalars(statement))


def _update_values(result: PollResult) -> tuple[Any, ...]:
    claim = result.claim
    row = {
        **watch_row(result.watch),
        "next_poll_at": result.next_poll_at,
        "interval_seconds": result.interval_seconds,
    }
    fence = (claim.watch.taskgroup_id, claim.owner, claim.lease_until, claim.watch.head.seq)
    return (*fence, *(row[name] for name in _UPDATED))
