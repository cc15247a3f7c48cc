"""Enrol groups, pause, resume and stop their watches, and remark on them; each of these writes an entry.

Many groups are changed in batches, one transaction each, which are small enough for a recorder to wait for.
Each batch is committed before its outcomes are told, and stays whatever happens to the ones after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from sqlalchemy import Connection, Engine, select

from recorder.clock import Clock
from recorder.ledger.entries import Action, Expectation, ExpectationChanges, WatchChange
from recorder.ledger.transitions import Rules, Transition, expect, remark
from recorder.ledger.watch import Watch, WatchState
from recorder.store.tables import watches
from recorder.store.transactions import reading, writing
from recorder.store.watch_changes import (
    NotWatchedError,
    WatchOutcomes,
    cease_many,
    enrol_many,
    remark_many,
    resume_many,
)

_EXPECTING = (WatchState.WATCHING, WatchState.PAUSED)
BATCH = 500
"""The maximum number of groups that are changed in one transaction."""
WAIT_SECONDS = 2.0
"""How long to wait for polls in flight, so that their results are written before the watches end."""
_CHECK_SECONDS = 0.05
_TURN_SECONDS = 0.5
_REST_SECONDS = 0.1
"""Batches follow each other for a turn, then rest: SQLite's lock goes to whoever asks while it is free, and
those who wait ask every 0.1 s."""


class Deadline:
    """The time that a command may wait for polls in flight, for all groups that it changes together.

    It begins when it is first asked about.
    """

    def __init__(self, seconds: float = WAIT_SECONDS) -> None:
        self._seconds = seconds
        self._until: float | None = None

    @property
    def passed(self) -> bool:
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        return time.monotonic() >= self._until


def watch_groups(
    engine: Engine,
    taskgroup_ids: Iterable[str],
    *,
    actor: str,
    note: str | None,
    now: Clock,
    rules: Rules,
    changes: ExpectationChanges | None = None,
) -> Iterator[WatchOutcomes]:
    """Watch groups as `enrol_many` does, all alike; yield the outcomes of each batch."""

    def enrol(connection: Connection, batch: Sequence[str]) -> WatchOutcomes:
        notes = dict.fromkeys(batch, note)
        return enrol_many(connection, notes, actor=actor, now=now, rules=rules, changes=changes)

    return _in_batches(engine, taskgroup_ids, enrol)


def resume_groups(
    engine: Engine, taskgroup_ids: Iterable[str], *, actor: str, note: str | None, now: Clock, rules: Rules
) -> Iterator[WatchOutcomes]:
    """Watch groups again that were watched before; yield the outcomes of each batch."""
    change = WatchChange(Action.RESUMED, actor, note)
    again = partial(resume_many, change=change, now=now, rules=rules)
    return _in_batches(engine, taskgroup_ids, again)


def cease_groups(
    engine: Engine,
    taskgroup_ids: Iterable[str],
    action: Action,
    *,
    actor: str,
    note: str | None,
    now: Clock,
    deadline: Deadline,
) -> Iterator[WatchOutcomes]:
    """Pause or stop the watches of groups; yield the outcomes of each batch.

    Groups with a poll in flight come last. They are waited for until the deadline; then the polls lose their
    claims, and their results are dropped.
    """
    end = partial(cease_many, change=WatchChange(action, actor, note), now=now)
    return _when_not_polled(engine, taskgroup_ids, end, deadline)


def expect_of_groups(
    engine: Engine,
    taskgroup_ids: Iterable[str],
    changes: ExpectationChanges,
    *,
    actor: str,
    note: str | None,
    now: Clock,
    deadline: Deadline,
) -> Iterator[WatchOutcomes]:
    """Change what is expected of groups that are watched or paused; yield the outcomes of each batch.

    Nothing is written for a group of which that is expected already. Polls in flight are waited for as by
    `cease_groups`, and made again.
    """

    def remark_on(watch: Watch, at: datetime) -> Transition:
        if watch.state not in _EXPECTING:
            raise NotWatchedError(watch.state.value)
        return expect(watch, changes, actor, at, note)

    change = partial(remark_many, action=Action.EXPECTED, remark_on=remark_on, now=now)
    return _when_not_polled(engine, taskgroup_ids, change, deadline)


def _when_not_polled(
    engine: Engine,
    taskgroup_ids: Iterable[str],
    change: Callable[..., WatchOutcomes],
    deadline: Deadline,
) -> Iterator[WatchOutcomes]:
    """Change groups; those with a poll in flight last, at the deadline whether it has ended or not."""
    waiting, claimed_too = list(taskgroup_ids), False
    while waiting:
        done: set[str] = set()
        now_or_later = partial(change, claimed_too=claimed_too)
        for outcomes in _in_batches(engine, waiting, now_or_later):
            yield outcomes
            done |= outcomes.keys()
        waiting = [taskgroup_id for taskgroup_id in waiting if taskgroup_id not in done]
        if waiting:
            claimed_too = deadline.passed
            time.sleep(0.0 if claimed_too else _CHECK_SECONDS)


def watch_group(
    engine: Engine,
    taskgroup_id: str,
    *,
    actor: str,
    note: str | None,
    now: Clock,
    rules: Rules,
    changes: ExpectationChanges | None = None,
) -> Action | None:
    """Watch a group: `started` if it is new, `resumed` if it is not being watched.

    With `changes`, what is expected of it is written after that. Returns the action that was written, None if
    the group is being watched already; then nothing was written.

    Raises:
        BrokenLedgerError: the watch row is missing or older than the ledger.
    """
    return _only(
        watch_groups(engine, [taskgroup_id], actor=actor, note=note, now=now, rules=rules, changes=changes)
    )


def resume_watching(
    engine: Engine, taskgroup_id: str, *, actor: str, note: str | None, now: Clock, rules: Rules
) -> Action | None:
    """Watch a known group again; return the action that was written, None if it is being watched already.

    Raises:
        UnknownGroupError: the group was never watched.
        BrokenLedgerError: the watch row is older than the ledger.
    """
    return _only(resume_groups(engine, [taskgroup_id], actor=actor, note=note, now=now, rules=rules))


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
    return _only(
        cease_groups(engine, [taskgroup_id], action, actor=actor, note=note, now=now, deadline=deadline)
    )


def note_group(
    engine: Engine, taskgroup_id: str, text: str, *, actor: str, now: Clock, deadline: Deadline
) -> None:
    """Write a note into the ledger of a group, whatever the state of its watch.

    A poll in flight is waited for until the deadline. Then it is made again.

    Raises:
        UnknownGroupError: the group was never watched.
        BrokenLedgerError: the watch row is older than the ledger.
    """

    def remark_on(watch: Watch, at: datetime) -> Transition:
        return remark(watch, WatchChange(Action.NOTED, actor, text), at)

    change = partial(remark_many, action=Action.NOTED, remark_on=remark_on, now=now)
    _only(_when_not_polled(engine, [taskgroup_id], change, deadline))


def expect_of_group(
    engine: Engine,
    taskgroup_id: str,
    changes: ExpectationChanges,
    *,
    actor: str,
    note: str | None,
    now: Clock,
    deadline: Deadline,
) -> tuple[Expectation, bool]:
    """Change what is expected of a group, as `expect_of_groups` does.

    Returns what is expected from now on, and whether an entry was written, which needs a difference.

    Raises:
        UnknownGroupError: the group was never watched.
        NotWatchedError: the group is stopped, gone or retired.
        BrokenLedgerError: the watch row is older than the ledger.
    """
    outcomes = expect_of_groups(
        engine, [taskgroup_id], changes, actor=actor, note=note, now=now, deadline=deadline
    )
    is_new = _only(outcomes) is not None
    with reading(engine) as connection:
        row = connection.execute(select(watches).where(watches.c.taskgroup_id == taskgroup_id)).one()
    return Expectation(row.expected_runs, row.expected_by), is_new


def _only(batches: Iterator[WatchOutcomes]) -> Action | None:
    (outcome,) = (outcome for outcomes in batches for outcome in outcomes.values())
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _in_batches(
    engine: Engine, taskgroup_ids: Iterable[str], change: Callable[[Connection, Sequence[str]], WatchOutcomes]
) -> Iterator[WatchOutcomes]:
    """Change groups in their order, BATCH at a time; yield the outcomes of each batch after its commit."""
    ids = iter(taskgroup_ids)
    turn_ends = time.monotonic() + _TURN_SECONDS
    while batch := list(islice(ids, BATCH)):
        if time.monotonic() >= turn_ends:
            time.sleep(_REST_SECONDS)
            turn_ends = time.monotonic() + _TURN_SECONDS
        with writing(engine) as connection:
            outcomes = change(connection, batch)
        yield outcomes
