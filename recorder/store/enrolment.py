"""Enrolling groups, and pausing, resuming and stopping their watches: each leaves an entry.

The time of an entry is taken once the group's row is ours: what a recorder wrote while we waited for it
came before.
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
"""How long to wait for polls under way, so that what they received is written before their watches end."""
_LOOK_SECONDS = 0.05


class UnknownGroupError(LookupError):
    """No group of that id was ever watched."""


class BrokenLedgerError(Exception):
    """What lies in the database of a group contradicts itself; nothing was entered. The text says how."""


def watch_group(
    engine: Engine, taskgroup_id: str, *, actor: str, note: str | None, now: Clock, rules: Rules
) -> Action | None:
    """Watch a group: a new one is `started`, one that is not being watched is `resumed`.

    Returns what was entered, None for a group that is being watched already.

    Raises:
        BrokenLedgerError: its watch row is gone or set back, and its ledger is not.
    """
    try:
        with writing(engine) as connection:
            return _watch(connection, taskgroup_id, actor=actor, note=note, now=now, rules=rules)
    except IntegrityError:
        # Somebody else enrolled it between our look and our INSERT.
        with writing(engine) as connection:
            return _watch(connection, taskgroup_id, actor=actor, note=note, now=now, rules=rules)


def resume_watching(
    engine: Engine, taskgroup_id: str, *, actor: str, note: str | None, now: Clock, rules: Rules
) -> Action | None:
    """Watch a known group again; return what was entered, None if it is being watched.

    Raises:
        UnknownGroupError: the group was never watched.
        BrokenLedgerError: its watch row was set back, and its ledger was not.
    """
    with writing(engine) as connection:
        watch = _known(connection, taskgroup_id)
        return _resume(connection, watch, WatchChange(Action.RESUMED, actor, note), now(), rules)


class Deadline:
    """How long a command may wait for polls under way, over all the groups that it changes."""

    def __init__(self, seconds: float = WAIT_SECONDS) -> None:
        self._until = time.monotonic() + seconds

    @property
    def lasts(self) -> bool:
        return time.monotonic() < self._until


def cease_watching(
    engine: Engine,
    taskgroup_id: str,
    action: Action,
    *,
    actor: str,
    note: str | None,
    now: Clock,
    patience: Deadline,
) -> Action | None:
    """Pause or stop the watch of a group; return what was entered, None if it stood so already.

    A poll under way is waited for while the patience lasts; then it loses its claim, and its result.

    Raises:
        UnknownGroupError: the group was never watched.
        BrokenLedgerError: its watch row was set back, and its ledger was not.
    """
    while True:
        with writing(engine) as connection:
            if not (patience.lasts and _is_claimed(connection, taskgroup_id)):
                return _cease(connection, taskgroup_id, WatchChange(action, actor, note), now)
        time.sleep(_LOOK_SECONDS)


def _is_claimed(connection: Connection, taskgroup_id: str) -> bool:
    owner = select(watches.c.owner).where(watches.c.taskgroup_id == taskgroup_id).with_for_update()
    return connection.scalar(owner) is not None


def _cease(connection: Connection, taskgroup_id: str, change: WatchChange, now: Clock) -> Action | None:
    watch = _known(connection, taskgroup_id)
    ends = {WatchState.STOPPED} | ({WatchState.PAUSED} if change.action is Action.PAUSED else set())
    if watch.state in ends:
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
    """The owner is cleared, so that a poll in flight loses its claim."""
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
        # The group's row is ours: nobody else can have entered anything meanwhile.
        newest = written[0].seq - 1
        words = f"goes on after entry {newest}, which its watch row names" if newest else "has no watch row"
        raise BrokenLedgerError(f"its ledger {words}") from None
    apply_entries(connection, written)
