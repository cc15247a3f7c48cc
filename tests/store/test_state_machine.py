"""Whatever happens to groups, recorders and clocks, the database agrees with a model of the rules.

Every step uses the store as the recorder and the command line do: recorders claim due groups, die, lose
their leases, come back and write twice; users pause and resume groups that are being polled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, select

from recorder.completion.summary import NOTHING, summarize
from recorder.ledger.entries import MOST_RUNS, Action, Entry, Gap, Interval, Kind, StatusContent
from recorder.ledger.poll_outcome import Cause
from recorder.store.derived import find_summaries
from recorder.store.groups import GroupFilter, count_entries, find_group, list_groups
from recorder.store.history import (
    HistoryFilter,
    StatusItem,
    count_gaps_of,
    read_entries,
    read_history,
    statuses_before,
)
from recorder.store.leases import PollResult
from recorder.store.tables import watches
from recorder.store.transactions import reading
from tests.store import brute_force
from tests.store.fleet import LEASE, Fleet, Group, Outcome
from tests.support.bodies import moment
from tests.support.examples import examples
from tests.support.short_forms import BODIES, FAILURES, seconds_or_none, short, short_content, short_interval
from tests.support.soundness import assert_sound
from tests.support.stories import RETIRE_AFTER, WINDOW

Near = tuple[int, float] | None
NAMES = st.sampled_from("abc")
NOTES = st.sampled_from([None, "lunch"])
ACTIONS = st.sampled_from([Action.PAUSED, Action.STOPPED])
RECORDERS = st.sampled_from([0, 1])
STEPS = st.sampled_from([-0.5, -20, -3600, 0.25, 41, RETIRE_AFTER])
BODY = st.sampled_from(["running", "running", *sorted(BODIES)])
FAILURE = st.just(Cause.NOT_FOUND) | st.sampled_from(FAILURES)
OUTCOME = st.builds(
    Outcome,
    what=BODY | BODY | BODY | FAILURE,
    spelling=st.sampled_from([0, -1]),
    took=st.sampled_from([0, 0, 0.5, 8]),
    wait=st.sampled_from([4, 10, 15, 300]),
)
THREE_OUTCOMES = st.tuples(OUTCOME, OUTCOME, OUTCOME)
MOMENTS = st.none() | st.tuples(st.integers(-3, 3), st.sampled_from([-0.25, 0, 0.25]))
"""None, or an offset in seconds from one of the entries."""
QUERIES = st.builds(
    HistoryFilter,
    kinds=st.none() | st.sets(st.sampled_from(Kind), min_size=1),
    descending=st.booleans(),
    after_seq=st.none() | st.integers(0, 9),
)


class StoredFleet(RuleBasedStateMachine):
    """Three groups and two recorders on one database."""

    engine: Engine

    @initialize(names=st.sampled_from(["a", "ab", "abc"]))
    def begin(self, names: str) -> None:
        self.fleet = Fleet(self.engine)
        self.written: list[PollResult] = []
        self.checked: dict[str, dict[str, Any]] = {}
        for name in names:
            self.fleet.watch(name, None)

    def teardown(self) -> None:
        self.checked.clear()
        try:
            self.database_is_as_expected()
        finally:
            self.fleet.end()

    def group(self, name: str) -> Group:
        """The named group, or another one if it does not exist."""
        return self.fleet.groups.get(name) or next(iter(self.fleet.groups.values()))

    @rule(name=NAMES, note=NOTES)
    def watch(self, name: str, note: str | None) -> None:
        self.fleet.watch(name, note)

    @rule(name=NAMES, note=NOTES)
    def resume(self, name: str, note: str | None) -> None:
        self.fleet.resume(self.group(name), note)

    @rule(name=NAMES, action=ACTIONS, note=NOTES)
    def cease(self, name: str, action: Action, note: str | None) -> None:
        self.fleet.cease(self.group(name), action, note)

    @rule(name=NAMES)
    def note(self, name: str) -> None:
        self.fleet.note(self.group(name), "é 𝄞")

    @rule(
        name=NAMES,
        runs=st.sampled_from([None, 1, 500, MOST_RUNS]),
        by=st.sampled_from([None, -3600.25, 10**8]),
    )
    def expect(self, name: str, runs: int | None, by: float | None) -> None:
        self.fleet.expect(self.group(name), runs, by)

    @rule(step=STEPS, noticed=st.booleans())
    def the_clock_is_set(self, step: float, noticed: bool) -> None:
        self.fleet.clock_set(step, noticed=noticed)

    @rule(step=STEPS, noticed=st.booleans(), outcomes=THREE_OUTCOMES, same=st.booleans())
    def the_clock_is_set_under_polls(
        self, step: float, noticed: bool, outcomes: Sequence[Outcome], same: bool
    ) -> None:
        """With `same`, the responses repeat the previous bodies."""
        self.until_a_group_is_due(5)
        flights = self.fleet.claim(self.fleet.owners[0], 3)
        self.fleet.clock_set(step, noticed=noticed)
        if same:
            before = [flight.group.model.body for flight in flights]
            outcomes = [
                replace(one, what=what or one.what, spelling=0)
                for what, one in zip(before, outcomes, strict=False)
            ]
        self.fleet.finish(list(zip(flights, outcomes, strict=False)))

    @rule(step=st.sampled_from([0.25, 9, 29, LEASE]))
    def time_passes(self, step: float) -> None:
        self.fleet.now += step

    @rule(lag=st.sampled_from([0, 0, 0.5, WINDOW]))
    def until_a_group_is_due(self, lag: float) -> None:
        due = [group.due_from for group in self.fleet.groups.values() if group.due_from is not None]
        self.fleet.now = max(self.fleet.now, min(due, default=self.fleet.now) + lag)

    @rule(which=RECORDERS, limit=st.integers(1, 3), lag=st.sampled_from([0, 9, WINDOW]))
    def claim(self, which: int, limit: int, lag: float) -> None:
        self.until_a_group_is_due(lag)
        self.fleet.claim(self.fleet.owners[which], limit)

    @precondition(lambda self: self.fleet.flights)
    @rule(which=st.integers(0, 10), outcomes=THREE_OUTCOMES)
    def polls_end(self, which: int, outcomes: Sequence[Outcome]) -> None:
        """End up to three polls of one recorder in one transaction."""
        mine = self.fleet.of_one_recorder(which)
        self.written = self.fleet.finish(list(zip(mine, outcomes, strict=False)))

    @precondition(lambda self: self.written)
    @rule()
    def results_are_written_twice(self) -> None:
        assert self.fleet.write(self.written) == []

    @rule(
        causes=st.lists(st.sampled_from(FAILURES), min_size=2, max_size=8), wait=st.sampled_from([4, 10, 300])
    )
    def outage(self, causes: Sequence[Cause], wait: float) -> None:
        for cause in causes:
            self.until_a_group_is_due(3)
            flights = self.fleet.claim(self.fleet.owners[0], 3)
            self.fleet.finish([(flight, Outcome(cause, 0, 0, wait)) for flight in flights])

    @precondition(lambda self: self.group("a").model.due is not None)
    @rule(outcomes=THREE_OUTCOMES, late=st.sampled_from([0, 0.25]))
    def answered_at_the_last_moment(self, outcomes: Sequence[Outcome], late: float) -> None:
        """Respond at the end of the gap window, or just after it."""
        due = self.group("a").model.due
        assert due is not None
        self.fleet.now = max(self.fleet.now, due + WINDOW + late)
        flights = self.fleet.claim(self.fleet.owners[0], 3)
        self.fleet.finish(
            [(flight, replace(one, took=0)) for flight, one in zip(flights, outcomes, strict=False)]
        )

    @rule(
        which=RECORDERS,
        rounds=st.lists(THREE_OUTCOMES, min_size=2, max_size=6),
        lag=st.sampled_from([0, 5, 20]),
    )
    def business_as_usual(self, which: int, rounds: Sequence[Sequence[Outcome]], lag: float) -> None:
        for outcomes in rounds:
            self.until_a_group_is_due(lag)
            flights = self.fleet.claim(self.fleet.owners[which], 3)
            self.fleet.finish(list(zip(flights, outcomes, strict=False)))

    @rule(what=st.sampled_from([Cause.NOT_FOUND, "settled", "running"]), wait=st.sampled_from([10, 300, 450]))
    def all_polls_have_the_same_outcome(self, what: str | Cause, wait: float) -> None:
        """As a result, groups become gone, or retire at the next response."""
        for _ in range(4):
            self.until_a_group_is_due(0)
            flights = self.fleet.claim(self.fleet.owners[0], 3)
            self.fleet.finish([(flight, Outcome(what, 0, 0, wait)) for flight in flights])
        if what == "settled":
            self.fleet.now += RETIRE_AFTER

    @rule(which=RECORDERS, released=st.booleans(), comes_back=st.booleans(), passed=st.sampled_from([0, 9]))
    def a_recorder_ends(self, which: int, released: bool, comes_back: bool, passed: float) -> None:
        self.claim(which, 3, 0)
        self.fleet.now += passed
        self.fleet.recorder_ends(which, released=released, comes_back=comes_back)

    @rule(outcome=OUTCOME)
    def a_lease_is_lost_to_another_recorder(self, outcome: Outcome) -> None:
        self.until_a_group_is_due(0)
        slow, quick = self.fleet.owners
        lost = self.fleet.claim(slow, 1)
        self.fleet.now += LEASE
        self.business_as_usual(1, [(outcome, outcome, outcome)], 0)
        assert not any(flight.valid for flight in lost if flight.lease.owner != quick)
        self.fleet.finish([(flight, outcome) for flight in lost])

    @rule(name=NAMES, query=QUERIES, since=MOMENTS, until=MOMENTS, limit=st.integers(1, 5))
    def read_a_window(self, name: str, query: HistoryFilter, since: Near, until: Near, limit: int) -> None:
        taskgroup_id = self.group(name).taskgroup_id
        with reading(self.engine) as connection:
            entries = list(read_entries(connection, taskgroup_id))
            query = replace(query, since=_near(entries, since), until=_near(entries, until))
            items = read_history(connection, taskgroup_id, query, limit)
        assert [item.seq for item in items] == brute_force.history(entries, query)[:limit]

    @invariant()
    def database_is_as_expected(self) -> None:
        with reading(self.engine) as connection:
            rows = connection.execute(select(watches)).mappings()
            found = {row["taskgroup_id"]: dict(row) for row in rows}
            assert found.keys() == {group.taskgroup_id for group in self.fleet.groups.values()}
            for group in self.fleet.groups.values():
                row = found[group.taskgroup_id]
                self._check_row(group, row)
                if self.checked.get(group.taskgroup_id) != row:
                    self._check_group(connection, group)
            self.checked = found
            self._check_lists(connection)

    def _check_row(self, group: Group, row: dict[str, Any]) -> None:
        model, lease = group.model, group.lease
        gap_at = None if model.due is None else model.due + WINDOW
        times = ("due_at", "gap_at", "poll_due_at", "next_poll_at", "lease_until")
        until = None if lease is None else lease.until
        expected = [model.due, gap_at, model.poll_due, group.next_poll, until]
        assert [seconds_or_none(row[name]) for name in times] == expected
        assert model.body is None or seconds_or_none(row["quiet_since"]) == model.quiet_since
        assert (row["expected_runs"], seconds_or_none(row["expected_by"])) == model.expectation
        assert row["owner"] == (None if lease is None else lease.owner)

    def _check_group(self, connection: Connection, group: Group) -> None:
        model = group.model
        entries = list(read_entries(connection, group.taskgroup_id))
        assert [short(entry) for entry in entries] == model.expected
        assert_sound(entries)
        item = find_group(connection, group.taskgroup_id)
        assert item is not None
        watch = item.watch
        assert (watch.state, short_interval(watch.open)) == (model.state, model.open)
        assert (watch.head.seq, watch.head.digest) == (len(entries), entries[-1].digest)
        missing = model.missing()
        since = seconds_or_none(watch.failures.missing_since)
        assert (watch.failures.missing_polls, since) == (len(missing), missing[0].ended if missing else None)
        assert watch.failures.attempts == len(model.failed)
        brute_force.assert_views_agree(connection, entries, watch)
        summary, _ = summarize(NOTHING, entries)
        assert find_summaries(connection, [watch.taskgroup_id]) == {watch.taskgroup_id: summary}
        self._check_items(connection, entries, watch.open)

    def _check_items(self, connection: Connection, entries: Sequence[Entry], opened: Interval | None) -> None:
        taskgroup_id = entries[0].taskgroup_id
        items = read_history(connection, taskgroup_id, HistoryFilter(), 10_000)
        statuses = {row["seq"]: row for row in brute_force.status_history(entries, opened)}
        for item, entry in zip(items, entries, strict=True):
            header = item.seq, item.kind, item.at, item.digest
            assert header == (entry.seq, entry.kind, entry.at, entry.digest)
            if isinstance(item.content, StatusItem):
                assert isinstance(entry.content, StatusContent)
                row, interval = statuses[item.seq], item.content.interval
                shown = brute_force.plain(interval.last_seen_at), interval.polls
                assert shown == (row["last_seen_at"], row["polls"])
                assert _as_text(item.content.value) == _as_text(entry.content.body.value)
            else:
                assert short_content(item.content) == short_content(entry.content)
        seqs = [entry.seq for entry in entries]
        before = statuses_before(connection, taskgroup_id, seqs)
        assert before == brute_force.statuses_before(entries)
        assert count_gaps_of(connection, taskgroup_id) == sum(
            isinstance(entry.content, Gap) for entry in entries
        )

    def _check_lists(self, connection: Connection) -> None:
        groups = self.fleet.groups.values()
        listed = list_groups(connection, limit=100)
        newest_first = sorted(groups, key=lambda group: group.taskgroup_id.encode())
        newest_first.sort(key=lambda group: group.model.started, reverse=True)
        assert [item.watch.taskgroup_id for item in listed] == [g.taskgroup_id for g in newest_first]
        late = list_groups(connection, GroupFilter(late_at=moment(self.fleet.now)), limit=100)
        lost = {group.taskgroup_id for group in groups if group.model.lost(self.fleet.now)}
        assert {item.watch.taskgroup_id for item in late} == lost
        assert count_entries(connection) == sum(len(group.model.expected) for group in groups)


def _near(entries: Sequence[Entry], near: Near) -> datetime | None:
    if near is None:
        return None
    which, after = near
    return entries[which % len(entries)].at + timedelta(seconds=after)


def _as_text(value: Any) -> str:
    """Return a value as text, since 1, 1.0 and true are equal in Python."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.slow
def test_the_stored_fleet(engine: Engine) -> None:
    machine = type("StoredFleetOnce", (StoredFleet,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(0.5),
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
