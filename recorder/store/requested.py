"""What programs ask for: more runs of a group than were expected, each request counted once; and groups that
they have created.

A request may have a key, so that sending it again changes nothing. Keys are looked up and kept in the
transaction that changes the group, whose row is locked: two recorders never count the same request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine

from recorder.clock import Clock
from recorder.ledger.entries import MOST_RUNS, Action, ExpectationChanges
from recorder.ledger.transitions import Rules, Transition, expect
from recorder.ledger.watch import Watch
from recorder.store.batches import Deadline, when_not_polled
from recorder.store.enrolment import EXPECTING
from recorder.store.groups import states_of
from recorder.store.request_keys import keep_keys, known_keys
from recorder.store.tombstones import find_tombstones
from recorder.store.watch_changes import (
    Enrolment,
    NotWatchedError,
    RefusedChangeError,
    WatchOutcomes,
    enrol_many,
    remark_many,
)

Created = Mapping[str, Mapping[str, int]]
"""Groups that programs have created or added runs to, by id: how many runs were added, by the request's key;
empty where a group was created and nothing more is known."""


class ReusedKeyError(RefusedChangeError):
    """The key belongs to another request about the same group."""


class TooManyRunsError(RefusedChangeError):
    """More runs than MOST_RUNS would be expected."""


@dataclass(frozen=True, slots=True)
class ExpectationRequest:
    """`changes` to what is expected of a group, and how many more runs than that.

    With a `key`, it counts once for the group; `digest` is that of its content.
    """

    changes: ExpectationChanges = field(default_factory=ExpectationChanges)
    add_runs: int = 0
    key: str | None = None
    digest: str = ""


def request_expectation(
    engine: Engine,
    taskgroup_id: str,
    request: ExpectationRequest,
    *,
    actor: str,
    now: Clock,
    deadline: Deadline,
) -> None:
    """Change what is expected of a group; polls in flight are waited for as by `expect_of_groups`.

    Raises:
        UnknownGroupError: the group was never watched.
        NotWatchedError: the group is stopped, gone or retired.
        ReusedKeyError: the key belongs to another request.
        TooManyRunsError: too many runs would be expected.
        BrokenLedgerError: the watch row is older than the ledger.
    """

    def change(connection: Connection, ids: Sequence[str], *, claimed_too: bool) -> WatchOutcomes:
        wanted = dict.fromkeys(ids, (request,))
        return _expect_once(connection, wanted, actor=actor, now=now, claimed_too=claimed_too)

    for outcomes in when_not_polled(engine, [taskgroup_id], change, deadline):
        for outcome in outcomes.values():
            if isinstance(outcome, Exception):
                raise outcome


def take_created(
    engine: Engine,
    created: Created,
    *,
    actor: str,
    note: str | None = None,
    now: Clock,
    rules: Rules,
    deadline: Deadline,
) -> Iterator[WatchOutcomes]:
    """Enrol groups as `take_created_many` does, in batches; yield the outcomes of each batch. Polls in flight
    are waited for as by `expect_of_groups`."""

    def take(connection: Connection, ids: Sequence[str], *, claimed_too: bool) -> WatchOutcomes:
        batch = {taskgroup_id: created[taskgroup_id] for taskgroup_id in ids}
        return take_created_many(
            connection, batch, actor=actor, note=note, now=now, rules=rules, claimed_too=claimed_too
        )

    return when_not_polled(engine, created, take, deadline)


def take_created_many(
    connection: Connection,
    created: Created,
    *,
    actor: str,
    note: str | None = None,
    now: Clock,
    rules: Rules,
    claimed_too: bool,
) -> WatchOutcomes:
    """Enrol the groups that were never watched, and expect the runs that were added, each request once.

    A group that is stopped, gone or retired is watched again if runs were added to it since. Returns what
    became of each group, None where everything was known already, also of a group that is archived. Groups
    with a poll in flight are treated as by `remark_many`.
    """
    taken = known_keys(connection, created)
    added = {
        taskgroup_id: requests
        for taskgroup_id, runs in created.items()
        if (requests := [_addition(runs[key], key) for key in runs if (taskgroup_id, key) not in taken])
    }
    states = states_of(connection, created)
    known = states.keys() | find_tombstones(connection, created).keys()
    ended = {one for one in added if states.get(one) not in EXPECTING}
    wanted = {one: Enrolment(note) for one in created if one not in known or one in ended}
    outcomes: WatchOutcomes = dict.fromkeys(created.keys() - added.keys())
    outcomes |= enrol_many(connection, wanted, actor=actor, now=now, rules=rules)
    failed = {one for one, outcome in outcomes.items() if isinstance(outcome, Exception)}
    more = {one: requests for one, requests in added.items() if one not in failed}
    for one, outcome in _expect_once(connection, more, actor=actor, now=now, claimed_too=claimed_too).items():
        if isinstance(outcome, Exception) or outcomes.get(one) is None:
            outcomes[one] = outcome
    return outcomes


def _addition(runs: int, key: str) -> ExpectationRequest:
    return ExpectationRequest(add_runs=runs, key=key, digest=str(runs))


def _expect_once(
    connection: Connection,
    wanted: Mapping[str, Sequence[ExpectationRequest]],
    *,
    actor: str,
    now: Clock,
    claimed_too: bool,
) -> WatchOutcomes:
    """Carry out the requests about each group that were not carried out before, in one entry."""
    new: dict[str, list[ExpectationRequest]] = {}

    def remark_on(watch: Watch, at: datetime) -> Transition:
        requests = _not_known(connection, watch.taskgroup_id, wanted[watch.taskgroup_id])
        if not requests:
            return Transition(watch)
        if watch.state not in EXPECTING:
            raise NotWatchedError(watch.state.value)
        step = expect(watch, _together(watch, requests), actor, at)
        new[watch.taskgroup_id] = requests
        return step

    outcomes = remark_many(
        connection, list(wanted), Action.EXPECTED, remark_on, now=now, claimed_too=claimed_too
    )
    done = {one: requests for one, requests in new.items() if not isinstance(outcomes[one], Exception)}
    digests = {
        (one, each.key): each.digest for one, requests in done.items() for each in requests if each.key
    }
    keep_keys(connection, digests, now())
    return outcomes


def _not_known(
    connection: Connection, taskgroup_id: str, requests: Sequence[ExpectationRequest]
) -> list[ExpectationRequest]:
    """Return the requests about a group that were not carried out before; its row is locked."""
    known = known_keys(connection, {taskgroup_id: [each.key for each in requests if each.key]})
    for each in requests:
        if each.key and known.get((taskgroup_id, each.key), each.digest) != each.digest:
            raise ReusedKeyError(each.key)
    return [each for each in requests if (taskgroup_id, each.key) not in known]


def _together(watch: Watch, requests: Sequence[ExpectationRequest]) -> ExpectationChanges:
    """Return the changes that requests make one after the other."""
    changes: ExpectationChanges = {}
    for request in requests:
        changes |= request.changes
        if request.add_runs:
            runs = (changes.get("runs", watch.expected.runs) or 0) + request.add_runs
            if runs > MOST_RUNS:
                raise TooManyRunsError(f"would make more than {MOST_RUNS} runs in all")
            changes["runs"] = runs
    return changes
