"""Change the watches of groups in one transaction; each change writes an entry.

The rows of the groups are locked in the order of their ids, so that two transactions cannot wait for each
other. The time of the entries is read after that, so that it follows whatever a recorder wrote while we
waited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, tuple_, update

from recorder.clock import Clock
from recorder.ledger.entries import Action, ExpectationChanges, WatchChange
from recorder.ledger.transitions import Rules, Transition, cease, expect, resume, start
from recorder.ledger.watch import Watch, WatchState
from recorder.store.derived import apply_entries
from recorder.store.dialects.registry import dialect_of
from recorder.store.events import write_events
from recorder.store.mapping import entry_row, watch_of, watch_row
from recorder.store.tables import entries, watches


class UnknownGroupError(LookupError):
    """No group with this id was ever watched."""


class BrokenLedgerError(Exception):
    """The rows of a group contradict each other; nothing was written. The text says how."""


class NotWatchedError(ValueError):
    """Nothing can be expected of a group that is no longer watched; the text is the state of its watch."""


WatchOutcome = Action | UnknownGroupError | BrokenLedgerError | NotWatchedError | None
"""What became of a group: the action that was written, None if there was nothing to change, or why it could
not be changed."""
WatchOutcomes = dict[str, WatchOutcome]
"""WatchOutcomes by group id."""


def enrol_many(
    connection: Connection,
    notes: Mapping[str, str | None],
    *,
    actor: str,
    now: Clock,
    rules: Rules,
    changes: ExpectationChanges | None = None,
) -> WatchOutcomes:
    """Watch groups in the transaction of `connection`, each with its note; return what became of each.

    They are `started` if they are new and `resumed` if they are not being watched; with `changes`, what is
    expected of these is written after that. A recorder waits for the locks of their rows until the
    transaction ends, so there should not be too many.
    """
    expected = changes or {}
    rows, at = _locked(connection, notes), now()
    new = [
        _then_expect(
            start(taskgroup_id, WatchChange(Action.STARTED, actor, notes[taskgroup_id]), at, rules),
            expected,
            actor,
            at,
        )
        for taskgroup_id in sorted(notes.keys() - rows.keys())
    ]
    outcomes = _start(connection, new, at)
    if others := notes.keys() - rows.keys() - outcomes.keys():
        # Someone else enrolled these between our SELECT and our INSERT.
        rows |= _locked(connection, others)
        at = now()

    def again(watch: Watch) -> Transition:
        change = WatchChange(Action.RESUMED, actor, notes[watch.taskgroup_id])
        return _then_expect(resume(watch, change, at, rules), expected, actor, at)

    outcomes |= _resume(connection, rows.values(), at, again)
    return {taskgroup_id: outcomes.get(taskgroup_id) for taskgroup_id in notes}


def resume_many(
    connection: Connection, taskgroup_ids: Sequence[str], change: WatchChange, *, now: Clock, rules: Rules
) -> WatchOutcomes:
    """Watch groups again that were watched before; return what became of each."""
    rows, at = _locked(connection, taskgroup_ids), now()
    outcomes = _resume(connection, rows.values(), at, lambda watch: resume(watch, change, at, rules))
    return _with_unknown(taskgroup_ids, rows, outcomes)


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
    return _with_unknown(taskgroup_ids, rows, outcomes)


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

    `remark_on` may raise NotWatchedError, which is the group's outcome then.
    """
    rows, at = _locked(connection, taskgroup_ids), now()
    steps: list[Transition] = []
    outcomes: WatchOutcomes = {}
    for row in rows.values():
        if claimed_too or row.owner is None:
            outcomes[row.taskgroup_id] = None
            try:
                steps.append(remark_on(watch_of(row), at))
            except NotWatchedError as error:
                outcomes[row.taskgroup_id] = error
    outcomes |= _change(connection, [step for step in steps if step.entries], action, _UNCLAIMED)
    return _with_unknown(taskgroup_ids, rows, outcomes)


_UNCLAIMED = {"owner": None, "lease_until": None}


def _replanned(next_poll_at: datetime | None) -> dict[str, Any]:
    return _UNCLAIMED | {"next_poll_at": next_poll_at, "interval_seconds": None}


def _then_expect(step: Transition, changes: ExpectationChanges, actor: str, at: datetime) -> Transition:
    then = expect(step.watch, changes, actor, at)
    return Transition(then.watch, (*step.entries, *then.entries))


def _locked(connection: Connection, taskgroup_ids: Collection[str]) -> dict[str, Row[Any]]:
    """Lock the rows of groups and return them by id; groups that were never watched have none."""
    wanted = select(watches).where(watches.c.taskgroup_id.in_(taskgroup_ids))
    rows = connection.execute(wanted.order_by(watches.c.taskgroup_id).with_for_update())
    return {row.taskgroup_id: row for row in rows}


def _with_unknown(
    taskgroup_ids: Iterable[str], rows: Collection[str], outcomes: WatchOutcomes
) -> WatchOutcomes:
    """Return outcomes in the order of the ids, with one for each group that has no row."""
    outcomes |= {one: UnknownGroupError(one) for one in taskgroup_ids if one not in rows}
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
    broken = _broken(connection, mine)
    if broken:
        connection.execute(delete(watches).where(watches.c.taskgroup_id.in_(broken)))
    return _append(connection, mine, Action.STARTED, broken)


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
    broken: Mapping[str, BrokenLedgerError],
) -> WatchOutcomes:
    written = [entry for step in steps if step.watch.taskgroup_id not in broken for entry in step.entries]
    if written:
        connection.execute(insert(entries), [entry_row(entry) for entry in written])
        write_events(connection, apply_entries(connection, written), written)
    ids = (step.watch.taskgroup_id for step in steps)
    return {taskgroup_id: broken.get(taskgroup_id, action) for taskgroup_id in ids}


def _broken(connection: Connection, steps: Sequence[Transition]) -> dict[str, BrokenLedgerError]:
    """Return what is wrong with the groups that have entries already where the transitions have theirs."""
    # The groups' rows are locked, so nobody else can have written these entries meanwhile.
    keys = [(entry.taskgroup_id, entry.seq) for step in steps for entry in step.entries]
    if not keys:
        return {}
    taken = select(entries.c.taskgroup_id).where(tuple_(entries.c.taskgroup_id, entries.c.seq).in_(keys))
    found = set(connection.scalars(taken))
    return {
        step.watch.taskgroup_id: _contradiction(step.entries[0].seq - 1)
        for step in steps
        if step.watch.taskgroup_id in found
    }


def _contradiction(head: int) -> BrokenLedgerError:
    problem = f"has entries after entry {head}, its head by the watch row" if head else "has no watch row"
    return BrokenLedgerError(f"its ledger {problem}")
