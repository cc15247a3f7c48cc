"""Enrol groups, pause, resume and stop their watches, and remark on them; each of these writes an entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Engine, select

from recorder.clock import Clock
from recorder.ledger.entries import Action, Expectation, ExpectationChanges, WatchChange
from recorder.ledger.transitions import Rules, Transition, expect, remark
from recorder.ledger.watch import Watch, WatchState
from recorder.store.batches import Deadline, in_batches, when_not_polled
from recorder.store.tables import watches
from recorder.store.transactions import reading
from recorder.store.watch_changes import (
    Enrolment,
    NotWatchedError,
    WatchOutcomes,
    cease_many,
    enrol_many,
    remark_many,
    resume_many,
)

EXPECTING = (WatchState.WATCHING, WatchState.PAUSED)
"""The states of groups of which something can be expected."""


def enrol_groups(
    engine: Engine,
    wanted: Mapping[str, Enrolment],
    *,
    actor: str,
    now: Clock,
    rules: Rules,
    deadline: Deadline,
) -> Iterator[WatchOutcomes]:
    """Watch groups as `enrol_many` does; yield the outcomes of each batch.

    What is expected of groups that are being watched already is changed as by `expect_of_groups`, and noted.
    """

    def enrol(connection: Connection, batch: Sequence[str]) -> WatchOutcomes:
        chosen = {taskgroup_id: wanted[taskgroup_id] for taskgroup_id in batch}
        return enrol_many(connection, chosen, actor=actor, now=now, rules=rules)

    def remark_on(watch: Watch, at: datetime) -> Transition:
        enrolment = wanted[watch.taskgroup_id]
        return _expect(watch, enrolment.expected, actor, at, enrolment.note)

    change = partial(remark_many, action=Action.EXPECTED, remark_on=remark_on, now=now)
    for outcomes in in_batches(engine, wanted, enrol):
        watched = [one for one, outcome in outcomes.items() if outcome is None and wanted[one].expected]
        for expected in when_not_polled(engine, watched, change, deadline):
            outcomes.update(expected)
        yield outcomes


def resume_groups(
    engine: Engine, taskgroup_ids: Iterable[str], *, actor: str, note: str | None, now: Clock, rules: Rules
) -> Iterator[WatchOutcomes]:
    """Watch groups again that were watched before; yield the outcomes of each batch."""
    change = WatchChange(Action.RESUMED, actor, note)
    again = partial(resume_many, change=change, now=now, rules=rules)
    return in_batches(engine, taskgroup_ids, again)


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
    return when_not_polled(engine, taskgroup_ids, end, deadline)


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
        return _expect(watch, changes, actor, at, note)

    change = partial(remark_many, action=Action.EXPECTED, remark_on=remark_on, now=now)
    return when_not_polled(engine, taskgroup_ids, change, deadline)


def watch_group(
    engine: Engine, taskgroup_id: str, *, actor: str, note: str | None, now: Clock, rules: Rules
) -> Action | None:
    """Watch a group: `started` if it is new, `resumed` if it is not being watched.

    Returns the action that was written, None if the group is being watched already; then nothing was written.

    Raises:
        BrokenLedgerError: the watch row is missing or older than the ledger.
    """
    wanted = {taskgroup_id: Enrolment(note)}
    return _only(enrol_groups(engine, wanted, actor=actor, now=now, rules=rules, deadline=Deadline(0)))


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


def note_groups(
    engine: Engine, taskgroup_ids: Iterable[str], text: str, *, actor: str, now: Clock, deadline: Deadline
) -> Iterator[WatchOutcomes]:
    """Write a note into the ledgers of groups, whatever the states of their watches.

    Yields the outcomes of each batch. Polls in flight are waited for as by `cease_groups`, and made again.
    """

    def remark_on(watch: Watch, at: datetime) -> Transition:
        return remark(watch, WatchChange(Action.NOTED, actor, text), at)

    change = partial(remark_many, action=Action.NOTED, remark_on=remark_on, now=now)
    return when_not_polled(engine, taskgroup_ids, change, deadline)


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


def _expect(
    watch: Watch, changes: ExpectationChanges, actor: str, at: datetime, note: str | None
) -> Transition:
    if watch.state not in EXPECTING:
        raise NotWatchedError(watch.state.value)
    return expect(watch, changes, actor, at, note)


def _only(batches: Iterator[WatchOutcomes]) -> Action | None:
    (outcome,) = (outcome for outcomes in batches for outcome in outcomes.values())
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
