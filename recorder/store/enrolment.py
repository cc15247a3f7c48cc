"""Enrol groups, and pause, resume and stop their watches; each of these writes an entry.

The time of the entry is read after the group's row is locked, so that it follows whatever a recorder wrote
while we waited for the lock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from recorder.clock import Clock
from recorder.ledger.entries import Action, Entry, WatchChange
from recorder.ledger.transitions import Rules, Transition, cease, resume, start
from recorder.ledger.watch import Watch, WatchState
from recorder.store.derived import apply_entries
from recorder.store.mapping import entry_row, watch_of, watch_row
from recorder.store.tables import entries, watches
from recorder.store.transactions import writing

WAIT_SECONDS = 2.0
"""How long to wait for polls in flight, so that their results are written before the watches end."""
_CHECK_SECONDS = 0.05


class UnknownGroupError(LookupError):
    """No group with this id was ever watched."""


class BrokenLedgerError(Exception):
    """The rows of a group contradict each other; nothing was written. The text says how."""


def watch_group(
    engine: Engine, taskgroup_id: str, *, actor: str, note: str | None, now: Clock, rules: Rules
) -> Action | None:
    """Watch a group: `started` if it is new, `resumed` if it is not being watched.

    Returns the action that was written, None if the group is being watched already.

    Raises:
        BrokenLedgerError: the watch row is missing or older than the ledger.
    """
    try:
        with writing(engine) as connection:
            return _watch(connection, taskgroup_id, actor=actor, note=note, now=now, rules=rules)
    except IntegrityError:
        # Someone else enrolled the group between our SELECT and our INSERT.
        with writing(engine) as connection:
            return _watch(connection, taskgroup_id, actor=actor, note=note, now=now, rules=rules)


def resume_watching(
    engine: Engine, taskgroup_id: str, *, actor: str, note: str | None, now: Clock, rules: Rules
) -> Action | None:
    """Watch a known group again; return the action that was written, None if it is being watched already.

    Raises:
        UnknownGroupError: the group was never watched.
        BrokenLedgerError: the watch row is older than the ledger.
    """
    with writing(engine) as connection:
        watch = _known(connection, taskgroup_id)
        return _resume(connection, watch, WatchChange(Action.RESUMED, actor, note), now(), rules)


class Deadline:
    """The time that a command may wait for polls in flight, for all groups that it changes together."""

    def __init__(self, seconds: float = WAIT_SECONDS) -> None:
        self._until = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._until


def cease_watching(
    engine: Engine,
    taskgroup_id: str,
    action: Action,
    *,
    actor: str,
    note: str | None,
    now: Clock,
    deadline: Deadline,
) -> Action | None:
    """Pause or stop the watch of a group; return the action that was written, None if that was done already.

    A poll in flight is waited for until the deadline. Then it loses its claim, and its result is dropped.

    Raises:
        UnknownGroupError: the group was never watched.
        BrokenLedgerError: the watch row is older than the ledger.
    """
    while True:
        with writing(engine) as connection:
            if deadline.passed or not _is_claimed(connection, taskgroup_id):
                return _cease(connection, taskgroup_id, WatchChange(action, actor, note), now)
        time.sleep(_CHECK_SECONDS)


def _is_claimed(connection: Connection, taskgroup_id: str) -> bool:
    owner = select(watches.c.owner).where(watches.c.taskgroup_id == taskgroup_id).with_for_update()
    return connection.scalar(owner) is not None


def _cease(connection: Connection, taskgroup_id: str, change: WatchChange, now: Clock) -> Action | None:
    watch = _known(connection, taskgroup_id)
    done = {WatchState.STOPPED} | ({WatchState.PAUSED} if change.action is Action.PAUSED else set())
    if watch.state in done:
        return None
    _write(connection, cease(watch, change, now()), next_poll_at=None)
    return change.action


def _watch(
    connection: Connection, taskgroup_id: str, *, actor: str, note: str | None, now: Clock, rules: Rules
) -> Action | None:
    watch = _locked(connection, taskgroup_id)
    at = now()
    if watch is None:
        step = start(taskgroup_id, WatchChange(Action.STARTED, actor, note), at, rules)
        row = watch_row(step.watch)
        enrolled = {"taskgroup_id": taskgroup_id, "enrolled_at": at, "next_poll_at": at}
        connection.execute(insert(watches).values(**row, **enrolled))
        _append(connection, step.entries)
        return Action.STARTED
    return _resume(connection, watch, WatchChange(Action.RESUMED, actor, note), at, rules)


def _resume(
    connection: Connection, watch: Watch, change: WatchChange, at: datetime, rules: Rules
) -> Action | None:
    if watch.state is WatchState.WATCHING:
        return None
    _write(connection, resume(watch, change, at, rules), next_poll_at=at)
    return Action.RESUMED


def _known(connection: Connection, taskgroup_id: str) -> Watch:
    watch = _locked(connection, taskgroup_id)
    if watch is None:
        raise UnknownGroupError(taskgroup_id)
    return watch


def _locked(connection: Connection, taskgroup_id: str) -> Watch | None:
    row = connection.execute(
        select(watches).where(watches.c.taskgroup_id == taskgroup_id).with_for_update()
    ).one_or_none()
    return None if row is None else watch_of(row)


def _write(connection: Connection, step: Transition, *, next_poll_at: datetime | None) -> None:
    """Write a transition. It clears the owner, so that a poll in flight loses its claim."""
    free = {"owner": None, "lease_until": None, "next_poll_at": next_poll_at, "interval_seconds": None}
    connection.execute(
        update(watches)
        .where(watches.c.taskgroup_id == step.watch.taskgroup_id)
        .values(**watch_row(step.watch), **free)
    )
    _append(connection, step.entries)


def _append(connection: Connection, written: Sequence[Entry]) -> None:
    try:
        connection.execute(insert(entries), [entry_row(entry) for entry in written])
    except IntegrityError:
        # The group's row is locked, so nobody else can have written the entry meanwhile.
        head = written[0].seq - 1
        problem = f"has entries after entry {head}, its head by the watch row" if head else "has no watch row"
        raise BrokenLedgerError(f"its ledger {problem}") from None
    apply_entries(connection, written)
