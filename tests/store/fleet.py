"""Groups on a real database and the recorders that poll them, with a model of each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

from sqlalchemy import Engine, delete

from recorder.ledger.entries import Action
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import fail, observe
from recorder.ledger.watch import Watch, WatchState
from recorder.store.enrolment import (
    Deadline,
    cease_watching,
    expect_of_group,
    note_groups,
    resume_watching,
    watch_group,
)
from recorder.store.leases import Claim, PollResult, claim_due, release, write_results
from recorder.store.tables import watches
from recorder.store.transactions import writing
from recorder.store.watch_changes import NotWatchedError
from recorder.store.workload import INTERVAL_MARGIN, make_due
from tests.support.bodies import moment
from tests.support.ledger_model import Model
from tests.support.short_forms import HTTP_STATUS, spelled
from tests.support.stories import RULES, WINDOW

LEASE = 60
LONGEST_WAIT = 20
_numbers = count(1)


@dataclass(eq=False)
class Lease:
    owner: str
    until: float


@dataclass(eq=False)
class Group:
    """The expected state of a group; `clock_step` is how far the clock was set since its last poll."""

    taskgroup_id: str
    model: Model
    next_poll: float | None
    lease: Lease | None = None
    clock_step: float = 0
    interval: float = 0

    @property
    def due_from(self) -> float | None:
        """When a recorder can claim the group next; None if never."""
        if self.next_poll is None or self.lease is None:
            return self.next_poll
        return max(self.next_poll, self.lease.until)


@dataclass(eq=False)
class Flight:
    """A poll in flight since `asked`, which is valid as long as its lease is the group's current one."""

    group: Group
    claim: Claim
    lease: Lease
    asked: float

    @property
    def valid(self) -> bool:
        return self.group.lease is self.lease


@dataclass(frozen=True)
class Outcome:
    """A body or a cause received `took` seconds from now; the next poll is due `wait` seconds later."""

    what: str | Cause
    spelling: int
    took: float
    wait: float


class Fleet:
    """Performs every step both on the database and on the models."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.prefix = f"tgrp_{next(_numbers)}"
        self.groups: dict[str, Group] = {}
        self.flights: list[Flight] = []
        self.now = 0.0
        self._recorders = count(1)
        self.owners = [self._new_owner(), self._new_owner()]

    def watch(self, name: str, note: str | None) -> None:
        taskgroup_id, group = f"{self.prefix}_{name} ä 𝄞", self.groups.get(name)
        entered = watch_group(
            self.engine, taskgroup_id, actor="ann", note=note, now=lambda: moment(self.now), rules=RULES
        )
        if group is None:
            assert entered is Action.STARTED
            self.groups[name] = Group(taskgroup_id, Model(self.now, "ann", note), self.now)
        else:
            self._resumed(group, note, entered)

    def resume(self, group: Group, note: str | None) -> None:
        at = moment(self.now)
        entered = resume_watching(
            self.engine, group.taskgroup_id, actor="ann", note=note, now=lambda: at, rules=RULES
        )
        self._resumed(group, note, entered)

    def _resumed(self, group: Group, note: str | None, entered: Action | None) -> None:
        if group.model.state == "watching":
            assert entered is None
            return
        assert entered is Action.RESUMED
        group.model.resume(self.now, "ann", note)
        group.next_poll, group.lease, group.clock_step, group.interval = self.now, None, 0, 0

    def cease(self, group: Group, action: Action, note: str | None) -> None:
        entered = cease_watching(
            self.engine,
            group.taskgroup_id,
            action,
            actor="ann",
            note=note,
            now=lambda: moment(self.now),
            deadline=Deadline(0),
        )
        model = group.model
        if model.state == "stopped" or model.state == action == "paused":
            assert entered is None
            return
        assert entered is action
        late = 0 if model.poll_due is None else model.late(self.now)
        model.cease(action, self.now, late, "ann", note)
        group.next_poll, group.lease, group.clock_step, group.interval = None, None, 0, 0

    def note(self, group: Group, text: str) -> None:
        outcomes = note_groups(
            self.engine,
            [group.taskgroup_id],
            text,
            actor="ann",
            now=lambda: moment(self.now),
            deadline=Deadline(0),
        )
        assert [each for each in outcomes if each] == [{group.taskgroup_id: Action.NOTED}]
        group.model.add_note(self.now, text)
        self._remarked(group)

    def expect(self, group: Group, runs: int | None, by: float | None) -> None:
        said = len(group.model.expected)
        try:
            _, is_new = expect_of_group(
                self.engine,
                group.taskgroup_id,
                {"runs": runs, "by": None if by is None else moment(by)},
                actor="ann",
                note=None,
                now=lambda: moment(self.now),
                deadline=Deadline(0),
            )
        except NotWatchedError as error:
            assert str(error) == group.model.state and group.model.state in {"stopped", "gone", "retired"}
            return
        group.model.expect(self.now, (runs, by))
        assert is_new is (len(group.model.expected) > said)
        if is_new:
            self._remarked(group)

    def _remarked(self, group: Group) -> None:
        """A remark leaves the schedule as it is, but a poll in flight has to be made again."""
        group.lease = None

    def claim(self, owner: str, limit: int) -> list[Flight]:
        """Claim `limit` due groups and check that they are the right ones.

        Groups that became due at the same time as the last of them are claimed as well.
        """
        if any(flight.lease.until == self.now + LEASE for flight in self.flights):
            self.now += 0.25  # No recorder claims twice at the same time.
        since = sorted(_next_poll(group) for group in self.groups.values() if self._is_due(group))[:limit]
        due = [group for group in self.groups.values() if self._is_due(group)]
        due = [group for group in due if _next_poll(group) <= since[-1]]
        now, until = moment(self.now), moment(self.now + LEASE)
        with writing(self.engine) as connection:
            claims = claim_due(
                connection, owner=owner, now=now, lease_until=until, limit=max(limit, len(due))
            )
        claimed = {claim.watch.taskgroup_id: claim for claim in claims}
        assert sorted(claimed) == sorted(group.taskgroup_id for group in due)
        flights = [self._flight(group, claimed[group.taskgroup_id]) for group in due]
        self.flights += flights
        return flights

    def of_one_recorder(self, which: int) -> list[Flight]:
        """The polls in flight of one recorder, whose results can be in one batch."""
        owner = self.flights[which % len(self.flights)].lease.owner
        return [flight for flight in self.flights if flight.lease.owner == owner]

    def _flight(self, group: Group, claim: Claim) -> Flight:
        group.lease = Lease(claim.owner, self.now + LEASE)
        return Flight(group, claim, group.lease, self.now)

    def _is_due(self, group: Group) -> bool:
        return group.due_from is not None and group.due_from <= self.now

    def finish(self, outcomes: Sequence[tuple[Flight, Outcome]]) -> list[PollResult]:
        """Write the outcomes of polls in one transaction, and check which of them were valid."""
        results = [self._finished(flight, outcome) for flight, outcome in outcomes]
        valid = [(flight, outcome) for flight, outcome in outcomes if flight.valid]
        assert self.write(results) == sorted(flight.group.taskgroup_id for flight, _ in valid)
        for flight, outcome in valid:
            self._expect(flight, outcome)
        self.flights = [flight for flight in self.flights if flight not in [one for one, _ in outcomes]]
        self.now += max((outcome.took for _, outcome in outcomes), default=0)
        return results

    def write(self, results: Sequence[PollResult]) -> list[str]:
        """Write results in one transaction; return the ids of the groups whose claims were valid."""
        with writing(self.engine) as connection:
            written = write_results(connection, results)
        return sorted(result.watch.taskgroup_id for result in written.results)

    def _finished(self, flight: Flight, outcome: Outcome) -> PollResult:
        ended = self.now + outcome.took
        asked = min(flight.asked, ended)
        watch = flight.claim.watch.moved(timedelta(seconds=flight.group.clock_step))
        if isinstance(outcome.what, Cause):
            failure = Failure(
                moment(asked),
                moment(ended),
                outcome.what,
                HTTP_STATUS.get(outcome.what),
                f"{outcome.what} at {ended}",
            )
            step = fail(watch, failure, RULES)
            planned = _planned(step.watch, ended + outcome.wait, retry=True)
        else:
            body = parse_body(spelled(outcome.what, outcome.spelling, flight.group.taskgroup_id))
            step = observe(watch, Observation(moment(asked), moment(ended), body), RULES)
            planned = _planned(step.watch, ended + outcome.wait, retry=False)
        asks = planned.state in {WatchState.WATCHING, WatchState.GONE}
        next_poll = moment(ended + outcome.wait) if asks else None
        return PollResult(flight.claim, step.entries, planned, next_poll, outcome.wait if asks else None)

    def _expect(self, flight: Flight, outcome: Outcome) -> None:
        ended = self.now + outcome.took
        asked = min(flight.asked, ended)
        group, model = flight.group, flight.group.model
        model.clock_set(group.clock_step)
        if isinstance(outcome.what, Cause):
            model.fail(asked, ended, outcome.what, f"{outcome.what} at {ended}", ended + outcome.wait)
        else:
            model.answer(asked, ended, outcome.what, outcome.wait)
        group.next_poll = ended + outcome.wait if model.state in {"watching", "gone"} else None
        group.lease, group.clock_step = None, 0
        group.interval = 0 if group.next_poll is None else outcome.wait

    def recorder_ends(self, which: int, *, released: bool, comes_back: bool) -> None:
        """End a recorder, whose claims are kept or released.

        If it comes back, another recorder wrongly took it for dead, and its polls in flight still end.
        """
        owner = self.owners[which]
        if released:
            with writing(self.engine) as connection:
                freed = release(connection, [owner])
            claimed = [group for group in self.groups.values() if group.lease and group.lease.owner == owner]
            assert freed == len(claimed)
            for group in claimed:
                group.lease = None
        if not comes_back:
            self.flights = [flight for flight in self.flights if flight.lease.owner != owner]
            self.owners[which] = self._new_owner()

    def clock_set(self, step: float, *, noticed: bool) -> None:
        """Step the wall clock; if a recorder notices, it moves its deadlines and makes groups due."""
        self.now += step
        if not noticed:
            return
        with writing(self.engine) as connection:
            longest = timedelta(seconds=LONGEST_WAIT)
            made_due = make_due(
                connection, moment(self.now), longest=longest, longest_retry=longest, alive=self.owners
            )
        far = [group for group in self.groups.values() if self._is_far(group)]
        assert made_due == len(far)
        for group in far:
            group.next_poll, group.lease = self.now, None
        for group in self.groups.values():
            group.clock_step += step

    def _is_far(self, group: Group) -> bool:
        if group.due_from is None or (group.lease is not None and group.lease.owner in self.owners):
            return False
        return group.due_from > self.now + max(LONGEST_WAIT, INTERVAL_MARGIN * group.interval)

    def end(self) -> None:
        """Remove the groups' watch rows; their entries cannot be deleted."""
        with writing(self.engine) as connection:
            connection.execute(delete(watches))

    def _new_owner(self) -> str:
        return f"recorder-{next(self._recorders)}"


def _planned(watch: Watch, due: float, *, retry: bool) -> Watch:
    if watch.state is not WatchState.WATCHING:
        return watch
    if retry:
        return replace(watch, poll_due_at=moment(due))
    return replace(watch, due_at=moment(due), gap_at=moment(due + WINDOW), poll_due_at=moment(due))


def _next_poll(group: Group) -> float:
    assert group.next_poll is not None
    return group.next_poll
