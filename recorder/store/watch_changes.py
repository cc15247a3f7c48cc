"""Change the watches of groups in one transaction; each change writes an entry.

The rows of the groups are locked in the order of their ids, so that two transactions cannot wait for each
other. The time of the entries is read after that, so that it follows whatever a recorder wrote while we
waited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from recorder.clock import Clock
from recorder.ledger.entries import Action, ExpectationChanges, WatchChange
from recorder.ledger.transitions import Rules, Transition, cease, expect, resume, start
from recorder.ledger.watch import Watch, WatchState
from recorder.store.derived import apply_entries
from recorder.store.dialects.registry import dialect_of
from recorder.store.events import write_events
from recorder.store.given_keys import rows_with
from recorder.store.mapping import entry_row, watch_of, watch_row
from recorder.store.tables import entries, watches
from recorder.store.tombstones import ArchivedGroupError, find_tombstones


class UnknownGroupError(LookupError):
    """No group with this id was ever watched."""


class BrokenLedgerError(Exception):
    """The rows of a group contradict each other; nothing was written. The text says how."""


class RefusedChangeError(ValueError):
    """A group cannot be changed like this; nothing was written about it."""


class NotWatchedError(RefusedChangeError):
    """Nothing can be expected of a group that is no longer watched; the text is the state of its watch."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How to enrol a group: the note of its entry, and what is expected of the group from then on."""

    note: str | None = None
    expected: ExpectationChanges = field(default_factory=ExpectationChanges)


WatchOutcome = Action | UnknownGroupError | ArchivedGroupError | BrokenLedgerError | RefusedChangeError | None
"""What became of a group: the action that was written, None if there was nothing to change, or why it could
not be changed."""
WatchOutcomes = dict[str, WatchOutcome]
"""WatchOutcomes by group id."""


def enrol_many(
    connection: Connection, wanted: Mapping[str, Enrolment], *, actor: str, now: Clock, rules: Rules
) -> WatchOutcomes:
    """Watch groups in the transaction of `connection`; return what became of each.

    They are `started` if they are new and `resumed` if they are not being watched; what is expected of these
    is written after that. A recorder waits for the locks of their rows until the transaction ends, so there
    should not be too many.
    """
    rows, at = _locked(connection, wanted), now()
    archived = _archived(connection, wanted.keys() - rows.keys())

    def then_expect(step: Transition) -> Transition:
        then = expect(step.watch, wanted[step.watch.taskgroup_id].expected, actor, at)
        return Transition(then.watch, (*step.entries, *then.entries))

    def change(action: Action, taskgroup_id: str) -> WatchChange:
        return WatchChange(action, actor, wanted[taskgroup_id].note)

    new = [
        then_expect(start(taskgroup_id, change(Action.STARTED, taskgroup_id), at, rules))
        for taskgroup_id in sorted(wanted.keys() - rows.keys() - archived.keys())
    ]
    outcomes: WatchOutcomes = {**archived, **_start(connection, new, at)}
    if others := wanted.keys() - rows.keys() - outcomes.keys():
        # Someone else enrolled these between our SELECT and our INSERT.
        rows |= _locked(connection, others)
        at = now()

    def again(watch: Watch) -> Transition:
        return then_expect(resume(watch, change(Action.RESUMED, watch.taskgroup_id), at, rules))

    outcomes |= _resume(connection, rows.values(), at, again)
    return {taskgroup_id: outcomes.get(taskgroup_id) for taskgroup_id in wanted}


def resume_many(
    connection: Connection, taskgroup_ids: Sequence[str], change: WatchChange, *, now: Clock, rules: Rules
) -> WatchOutcomes:
    """Watch groups again that were watched before; return what became of each."""
    rows, at = _locked(connection, taskgroup_ids), now()
    outcomes = _resume(connection, rows.values(), at, lambda watch: resume(watch, change, at, rules))
    return _with_unknown(connection, taskgroup_ids, rows, outcomes)


def cease_many(
    connection: Connection,
    taskgroup_ids: Sequence[str],
    change: WatchChange,
    *,
    now: Clock,
    claimed_too: bool,
) -> WatchOutcomes:
    """Pause or stop watches; return what became of each group.

    Without `claimed_too`, groups with a poll in flight are left as they are, and have no outcome. With it,
    the polls lose their claims.
    """
    rows, at = _locked(connection, taskgroup_ids), now()
    free = [row for row in rows.values() if claimed_too or row.owner is None]
    done = {WatchState.STOPPED} | ({WatchState.PAUSED} if change.action is Action.PAUSED else set())
    steps = [cease(watch, change, at) for watch in map(watch_of, free) if watch.state not in done]
    outcomes: WatchOutcomes = {row.taskgroup_id: None for row in free}
    outcomes |= _change(connection, steps, change.action, _replanned(None))
    return _with_unknown(connection, taskgroup_ids, rows, outcomes)


def remark_many(
    connection: Connection,
    taskgroup_ids: Sequence[str],
    action: Action,
    remark_on: Callable[[Watch, datetime], Transition],
    *,
    now: Clock,
    claimed_too: bool,
) -> WatchOutcomes:
    """Write what `remark_on` returns for each watch, an entry of `action` or nothing; return what became of
    each group. The schedule stays as it is; polls in flight are treated as by `cease_many`, and made again.

    `remark_on` may raise RefusedChangeError, which is the group's outcome then.
    """
    rows, at = _locked(connection, taskgroup_ids), now()
    steps: list[Transition] = []
    outcomes: WatchOutcomes = {}
    for row in rows.values():
        if claimed_too or row.owner is None:
            outcomes[row.taskgroup_id] = None
            try:
                steps.append(remark_on(watch_of(row), at))
            except RefusedChangeError as error:
                outcomes[row.taskgroup_id] = error
    outcomes |= _change(connection, [step for step in steps if step.entries], action, _UNCLAIMED)
    return _with_unknown(connection, taskgroup_ids, rows, outcomes)


_UNCLAIMED = {"owner": None, "lease_until": None}


def _replanned(next_poll_at: datetime | None) -> dict[str, Any]:
    return _UNCLAIMED | {"next_poll_at": next_poll_at, "interval_seconds": None}


def _locked(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, Row[Any]]:
    """Lock the rows of groups and return them by id; groups that were never watched have none."""
    wanted = select(watches).where(watches.c.taskgroup_id.in_(taskgroup_ids))
    rows = connection.execute(wanted.order_by(watches.c.taskgroup_id).with_for_update())
    return {row.taskgroup_id: row for row in rows}


def _archived(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, ArchivedGroupError]:
    """Return an outcome for each of the groups that is archived."""
    found = find_tombstones(connection, taskgroup_ids)
    return {taskgroup_id: ArchivedGroupError(tombstone) for taskgroup_id, tombstone in found.items()}


def _with_unknown(
    connection: Connection, taskgroup_ids: Iterable[str], rows: Collection[str], outcomes: WatchOutcomes
) -> WatchOutcomes:
    """Return outcomes in the order of the ids, with one for each group that has no row."""
    absent = [one for one in taskgroup_ids if one not in rows]
    outcomes |= {one: UnknownGroupError(one) for one in absent}
    outcomes |= _archived(connection, absent)
    return {one: outcomes[one] for one in taskgroup_ids if one in outcomes}


def _start(connection: Connection, steps: Sequence[Transition], at: datetime) -> WatchOutcomes:
    """Insert the watches of new groups; those that have one by now are left out of the outcomes."""
    if not steps:
        return {}
    rows = [
        {
            "taskgroup_id": step.watch.taskgroup_id,
            "enrolled_at": at,
            "next_poll_at": at,
            **watch_row(step.watch),
        }
        for step in steps
    ]
    put = dialect_of(connection).insert(watches).on_conflict_do_nothing().returning(watches.c.taskgroup_id)
    added = set(connection.scalars(put, rows))
    mine = [step for step in steps if step.watch.taskgroup_id in added]
    # Somebody else may have archived a group while the INSERT waited for its row.
    refused: dict[str, ArchivedGroupError | BrokenLedgerError] = {
        **_archived(connection, added),
        **_broken(connection, mine),
    }
    if refused:
        connection.execute(delete(watches).where(watches.c.taskgroup_id.in_(refused)))
    return _append(connection, mine, Action.STARTED, refused)


def _resume(
    connection: Connection,
    rows: Collection[Row[Any]],
    at: datetime,
    resume_of: Callable[[Watch], Transition],
) -> WatchOutcomes:
    idle = [watch for watch in map(watch_of, rows) if watch.state is not WatchState.WATCHING]
    outcomes: WatchOutcomes = {row.taskgroup_id: None for row in rows}
    return outcomes | _change(connection, [*map(resume_of, idle)], Action.RESUMED, _replanned(at))


def _change(
    connection: Connection, steps: Sequence[Transition], action: Action, schedule: dict[str, Any]
) -> WatchOutcomes:
    """Write transitions. `schedule` clears the owners, so that polls in flight lose their claims."""
    broken = _broken(connection, steps)
    rows = [
        {"changed_id": step.watch.taskgroup_id, **watch_row(step.watch), **schedule}
        for step in steps
        if step.watch.taskgroup_id not in broken
    ]
    if rows:
        connection.execute(update(watches).where(watches.c.taskgroup_id == bindparam("changed_id")), rows)
    return _append(connection, steps, action, broken)


def _append(
    connection: Connection,
    steps: Sequence[Transition],
    action: Action,
    refused: Mapping[str, ArchivedGroupError | BrokenLedgerError],
) -> WatchOutcomes:
    written = [entry for step in steps if step.watch.taskgroup_id not in refused for entry in step.entries]
    if written:
        connection.execute(insert(entries), [entry_row(entry) for entry in written])
        write_events(connection, apply_entries(connection, written), written)
    ids = (step.watch.taskgroup_id for step in steps)
    return {taskgroup_id: refused.get(taskgroup_id, action) for taskgroup_id in ids}


def _broken(connection: Connection, steps: Sequence[Transition]) -> dict[str, BrokenLedgerError]:
    """Return what is wrong with the groups that have entries already where the transitions have theirs."""
    # The groups' rows are locked, so nobody else can have written these entries meanwhile.
    keys = [(entry.taskgroup_id, entry.seq) for step in steps for entry in step.entries]
    if not keys:
        return {}
    columns = entries.c.taskgroup_id, entries.c.seq
    found = set(rows_with(connection, select(entries.c.taskgroup_id), columns, keys).scalars())
    return {
        step.watch.taskgroup_id: _contradiction(step.entries[0].seq - 1)
        for step in steps
        if step.watch.taskgroup_id in found
    }


def _contradiction(head: int) -> BrokenLedgerError:
    problem = f"has entries after entry {head}, its head by the watch row" if head else "has no watch row"
    return BrokenLedgerError(f"its ledger {problem}")
