"""Whatever happens to a group, its ledger in the database agrees with a second telling of the rules.

The rules, the model and what holds at every step are those of the pure state machine. Here each step goes
through the store, and recorders die, lose their leases and finish twice on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, text

from recorder.ledger.entries import Action, Entry, Gap, Interval, Status
from recorder.store.readers import HistoryQuery, StatusItem, history
from recorder.store.transactions import reading
from tests.ledger.oracle import text_of
from tests.ledger.test_state_machine import BODIES, Ledger
from tests.store.stored_story import StoredStory

LIVE = {"watching", "gone"}


class StoredLedger(Ledger):
    """The same through a database."""

    engine: Engine
    story: StoredStory

    def new_story(self) -> StoredStory:
        return StoredStory(self.engine)

    def teardown(self) -> None:
        self.story.end()

    @precondition(lambda self: self.model.state in LIVE)
    @rule(after=st.sampled_from([0, 5, 20]))
    def restart(self, after: float) -> None:
        self.story.restart(self.now)
        self.now += after

    @precondition(lambda self: self.model.state in LIVE)
    @rule(late=st.sampled_from(sorted(BODIES)), said=st.sampled_from(sorted(BODIES)))
    def a_lease_is_lost_to_another_recorder(self, late: str, said: str) -> None:
        claim = self.story.claim(self.now, owner="slow")
        result = self.story.answered(claim, self.now, BODIES[late], self.now)
        self.now += 61
        self.answer(said, 0)
        assert self.story.write(result) == 0

    @precondition(lambda self: self.model.state in LIVE)
    @rule(late=st.sampled_from(sorted(BODIES)), said=st.sampled_from(sorted(BODIES)))
    def both_results_of_a_group_come_in_one_batch(self, late: str, said: str) -> None:
        asked = self.now
        slow = self.story.answered(self.story.claim(asked, owner="slow"), self.now, BODIES[late], asked)
        self.now += 61
        claim = self.story.claim(self.now)
        result = self.story.answered(claim, self.now, BODIES[said], self.now)
        self.model.answer(self.now, self.now, said)
        assert self.story.write(slow, result) == 1

    @precondition(lambda self: self.model.state == "watching")
    @rule(late=st.sampled_from(sorted(BODIES)), action=st.sampled_from([Action.PAUSED, Action.STOPPED]))
    def a_watch_ends_under_a_poll(self, late: str, action: Action) -> None:
        claim = self.story.claim(self.now)
        result = self.story.answered(claim, self.now, BODIES[late], self.now)
        self.cease(action)
        assert self.story.write(result) == 0

    @precondition(lambda self: self.model.state in LIVE)
    @rule(said=st.sampled_from(sorted(BODIES)))
    def a_result_is_written_twice(self, said: str) -> None:
        claim = self.story.claim(self.now)
        result = self.story.answered(claim, self.now, BODIES[said], self.now)
        self.model.answer(self.now, self.now, said)
        assert self.story.write(result) == 1
        assert self.story.write(result) == 0

    @invariant()
    def views_say_what_the_entries_say(self) -> None:
        entries, watch = self.story.entries, self.story.watch
        statuses = _statuses(entries, watch.open)
        assert self._view("status_history", "seq, observed_at, last_seen_at, polls, digest") == statuses
        assert self._view("observation_gaps", _GAP_COLUMNS) == _gaps(entries)
        newest = [*(statuses[-1] if statuses else [None] * 5), str(watch.state), _time(watch.due_at)]
        columns = "seq, observed_at, last_seen_at, polls, digest, state, due_at"
        assert self._view("latest_status", columns) == [newest]

    @invariant()
    def readers_say_what_the_entries_say(self) -> None:
        with reading(self.engine) as connection:
            items = history(connection, self.story.taskgroup_id, HistoryQuery(), 10_000)
        entries = self.story.entries
        assert [(item.seq, item.kind, item.at, item.digest) for item in items] == [
            (entry.seq, entry.kind, entry.at, entry.digest) for entry in entries
        ]
        shown = [
            [item.seq, text_of(item.content.interval.last_seen_at), item.content.interval.polls]
            for item in items
            if isinstance(item.content, StatusItem)
        ]
        assert shown == [[row[0], row[2], row[3]] for row in _statuses(entries, self.story.watch.open)]

    def _view(self, name: str, columns: str) -> list[list[Any]]:
        order = "" if name == "latest_status" else "ORDER BY seq"
        question = f"SELECT {columns} FROM {name} WHERE taskgroup_id = :id {order}"
        with reading(self.engine) as connection:
            rows = connection.execute(text(question), {"id": self.story.taskgroup_id}).all()
        return [[_time(value) for value in row] for row in rows]


_GAP_COLUMNS = (
    "seq, gap_from, gap_to, duration_seconds, cause, attempts, unpolled_seconds, http_status, detail"
)


def _statuses(entries: Sequence[Entry], opened: Interval | None) -> list[list[Any]]:
    """Each status entry with what ends its interval: the entry after it, or the watch."""
    ends = [*(entry.previous for entry in entries[1:]), opened]
    rows = []
    for entry, end in zip(entries, ends, strict=True):
        if isinstance(entry.content, Status):
            assert end is not None
            rows.append([entry.seq, text_of(entry.at), text_of(end.last_seen_at), end.polls, entry.digest])
    return rows


def _gaps(entries: Sequence[Entry]) -> list[list[Any]]:
    rows = []
    for entry in entries:
        gap = entry.content
        if isinstance(gap, Gap):
            seconds = (entry.at - gap.from_).total_seconds()
            counted = [gap.attempts, gap.unpolled_seconds, gap.http_status, gap.detail]
            rows.append([entry.seq, text_of(gap.from_), text_of(entry.at), seconds, str(gap.cause), *counted])
    return rows


def _time(value: Any) -> Any:
    return text_of(value.astimezone(UTC)) if isinstance(value, datetime) else value


def test_the_stored_ledger(engine: Engine) -> None:
    machine = type("StoredLedgerOnce", (StoredLedger,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
