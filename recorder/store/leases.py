"""Claiming groups that are due, and writing what their polls brought.

A claim is a lease: the group's owner and the lease's end. What a claim brought is written only if the
group still has that owner, that lease and that head; else somebody else has taken it meanwhile, and the
whole step is dropped, entries included.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, cast, column, insert, select, update, values

from recorder.ledger.entries import Entry
from recorder.ledger.watch import Watch
from recorder.store.derived import apply_entries
from recorder.store.mapping import entry_row, watch_of, watch_row
from recorder.store.tables import entries, watches


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to poll one group until `lease_until`, and the watch row as it was claimed."""

    watch: Watch
    owner: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class PollResult:
    """What came of a claim: the entries to write, the next watch row, and when to poll it next."""

    claim: Claim
    entries: Sequence[Entry]
    watch: Watch
    next_poll_at: datetime | None
    interval_seconds: float | None


def claim_due(
    connection: Connection, *, owner: str, now: datetime, lease_until: datetime, limit: int
) -> list[Claim]:
    """Claim up to `limit` groups that are due at `now`, those longest due first.

    The lease's end goes into `next_poll_at` too: one plain index serves, and the groups of a recorder
    that died become due by themselves.
    """
    due = (
        select(watches.c.taskgroup_id)
        .where(watches.c.next_poll_at <= now)
        .order_by(watches.c.next_poll_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    statement = (
        update(watches)
        .where(watches.c.taskgroup_id.in_(select(due.c.taskgroup_id)))
        .values(owner=owner, lease_until=lease_until, next_poll_at=lease_until)
        .returning(watches)
    )
    return [Claim(watch_of(row), owner, lease_until) for row in connection.execute(statement)]


def write_results(connection: Connection, batch: Sequence[PollResult]) -> list[PollResult]:
    """Write what a batch of claims brought; return those whose claims still held."""
    # A group can be in a batch twice if it was claimed again: one of the claims has lost it then, and the
    # fence tells which.
    held = [item for part in _one_a_group(batch) for item in _held(connection, part)]
    written = [entry for item in held for entry in item.entries]
    if written:
        connection.execute(insert(entries), [entry_row(entry) for entry in written])
        apply_entries(connection, written)
    return held


def _one_a_group(batch: Sequence[PollResult]) -> list[list[PollResult]]:
    """Part a batch so that each part has a group once at most."""
    parts: list[dict[str, PollResult]] = []
    for item in batch:
        taskgroup_id = item.watch.taskgroup_id
        part = next((part for part in parts if taskgroup_id not in part), None)
        if part is None:
            parts.append(part := {})
        part[taskgroup_id] = item
    return [[item for _, item in sorted(part.items())] for part in parts]


def _held(connection: Connection, part: list[PollResult]) -> list[PollResult]:
    """Write the watch rows of those whose claims still hold, and return these."""
    won = _update_watches(connection, part)
    return [item for item in part if item.watch.taskgroup_id in won]


def release(connection: Connection, owners: Collection[str], now: datetime) -> int:
    """Give back every claim of `owners` whose poll was not finished; return how many.

    The groups are due again at once: what their polls would have brought was not seen.
    """
    free = {"owner": None, "lease_until": None, "next_poll_at": now}
    released = update(watches).where(watches.c.owner.in_(owners)).values(free)
    return connection.execute(released).rowcount


_WRITTEN = (
    *("state", "head_seq", "head_kind", "head_at", "head_digest", "due_at", "gap_at", "poll_due_at"),
    *("last_asked_at", "last_seen_at", "polls", "status_seq", "fingerprint", "phase", "finished"),
    *("modified_at", "quiet_since", "failures", "next_poll_at", "interval_seconds"),
)


def _update_watches(connection: Connection, batch: Sequence[PollResult]) -> set[str]:
    fence = ("taskgroup_id", "owner", "lease_until", "head_seq")
    columns = [column(f"was_{name}", watches.c[name].type) for name in fence]
    columns += [column(name, watches.c[name].type) for name in _WRITTEN]
    rows = values(*columns, name="brought").data([_brought(item) for item in batch]).cte("brought")
    # PostgreSQL takes a column of which every row is NULL for text.
    brought = {name: cast(rows.c[name], watches.c[name].type) for name in _WRITTEN}
    statement = (
        update(watches)
        .where(*(watches.c[name] == rows.c[f"was_{name}"] for name in fence))
        .values(brought | {"owner": None, "lease_until": None})
        .returning(watches.c.taskgroup_id)
    )
    return set(connection.scalars(statement))


def _brought(item: PollResult) -> tuple[Any, ...]:
    claim = item.claim
    row = {
        **watch_row(item.watch),
        "next_poll_at": item.next_poll_at,
        "interval_seconds": item.interval_seconds,
    }
    fence = (claim.watch.taskgroup_id, claim.owner, claim.lease_until, claim.watch.head.seq)
    return (*fence, *(row[name] for name in _WRITTEN))
