"""Random ledgers built from a seed with the recorder's own transitions, and a way to store them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Engine, insert

from recorder.ledger.entries import MOST_RUNS, Action, Entry, ExpectationChanges, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.timestamps import format_time
from recorder.ledger.transitions import Rules, Transition, cease, expect, fail, observe, remark, resume, start
from recorder.ledger.watch import Watch, WatchState
from recorder.store.derived import apply_entries
from recorder.store.mapping import entry_row, watch_row
from recorder.store.tables import entries, watches
from recorder.store.transactions import writing

RULES = Rules(timedelta(seconds=30), timedelta(seconds=900), timedelta(hours=2))
_NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
_FINAL = ("completed", "failed", "cancelled")
_FAILURES = [cause for cause in Cause if cause is not Cause.NOT_POLLED]

ODD_MEMBERS: Sequence[dict[str, Any]] = (
    {"metadata": None},
    {"metadata": {"n": 1, "b": True, "f": 0.1, "s": "\0𝄞\ufffd", "e": 1e300, "\ue000": 1, "😀": 2}},
    {"metadata": {f"key {number}": "long " * 50 for number in range(20)}},
    {"metadata": {"deep": [[{"x": None}]], "customer": ["acme"]}},
    {"metadata": "none"},
    {"created_at": "2026-11-24T11:59:00.123456789+01:00"},
    {"created_at": "yesterday"},
    {"taskgroup_id": "another"},
    {"future": {"deep": [[[{"x": None}]]]}, "é": 2, "a": 1},
)
ODD_STATUS: Sequence[dict[str, Any]] = (
    {"num_task_runs": "5", "task_run_status_counts": None, "is_active": 1, "modified_at": 7},
    {"task_run_status_counts": {"queued": None, "failed": 0, "new": 3}},
    {"num_task_runs": True, "is_active": None},
    {"num_task_runs": -3, "status_message": '-\u2028 \x7f\x1b[31m \\ " / é 𝄞 \ufffd'},
    {"status_message": "a\0b"},
    {"num_task_runs": 2**53},
    {"num_task_runs": 10**30, "task_run_status_counts": {"completed": 2**64}},
    {"modified_at": "2026-11-24t12:16:00.5z"},
    {"num_task_runs": 0, "task_run_status_counts": {}, "is_active": False},
    {"status_message": "m" * 5000},
)


class MadeLedger(Protocol):
    """A ledger that was made up, and the state in which it ends."""

    enrolled_at: datetime
    entries: list[Entry]
    watch: Watch


class RandomLedger:
    """One group's randomly growing ledger.
    `oddity` is the chance that a response is unusual, `trouble` the chance of anything other than a response.
    """

    def __init__(self, chance: random.Random, taskgroup_id: str, oddity: float, trouble: float) -> None:
        self._chance = chance
        self._oddity, self._trouble = oddity, trouble
        self._now = _NOON + timedelta(seconds=chance.randrange(10**6), microseconds=chance.randrange(10**6))
        self.enrolled_at = self._now
        self.entries: list[Entry] = []
        self._done, self._total = 0, chance.randrange(1, 200)
        self._metadata = {
            "customer": f"customer {chance.randrange(500)}",
            "processor": chance.choice(["lite", "base", "core", "pro"]),
            "batch": chance.randrange(10**6),
        }
        self.watch: Watch
        self._take(start(taskgroup_id, WatchChange(Action.STARTED, "ann@lab", None), self._now, RULES))

    def go_on(self) -> None:
        """Advance the ledger by one random event."""
        chance = self._chance
        self._now += timedelta(seconds=10, microseconds=chance.randrange(10**6))
        if self.watch.state not in {WatchState.WATCHING, WatchState.GONE}:
            change = WatchChange(Action.RESUMED, "ann@lab", chance.choice([None, "é 𝄞 on"]))
            self._take(resume(self.watch, change, self._now, RULES))
        elif chance.random() >= self._trouble:
            self._answer()
        elif chance.random() < 0.7:
            self._fail()
        elif chance.random() < 0.5:
            self._now += timedelta(seconds=chance.choice([-60, -0.5, 40, 5000]))
        elif chance.random() < 0.5:
            self._remark()
        else:
            action = chance.choice([Action.PAUSED, Action.STOPPED])
            self._take(cease(self.watch, WatchChange(action, "bob", None), self._now))

    def stop(self) -> None:
        """Stop watching, if the group is watched."""
        if self.watch.state is not WatchState.STOPPED:
            self._take(cease(self.watch, WatchChange(Action.STOPPED, "bob", None), self._now))

    def _remark(self) -> None:
        chance, now = self._chance, self._now
        if chance.random() < 0.5:
            self._take(remark(self.watch, WatchChange(Action.NOTED, "bob", "é 𝄞 note"), now))
            return
        changes: ExpectationChanges = {"runs": chance.choice([None, 1, 500, MOST_RUNS])}
        if chance.random() < 0.5:
            changes["by"] = chance.choice([None, now + timedelta(days=1, microseconds=1)])
        self._take(expect(self.watch, changes, "bob", now, chance.choice([None, "as agreed"])))

    def _fail(self) -> None:
        cause = self._chance.choice(_FAILURES)
        for _ in range(self._chance.randrange(1, 6)):
            asked = self._now
            self._now += timedelta(seconds=self._chance.choice([0.1, 10, 400]))
            failure = Failure(asked, self._now, cause, self._chance.choice([None, 404, 503]), 'no\\ "answer"')
            self._take(fail(self.watch, failure, RULES))
            if self.watch.poll_due_at is not None:
                self.watch = replace(self.watch, poll_due_at=self._now + timedelta(seconds=5))

    def _answer(self) -> None:
        asked = self._now - timedelta(microseconds=self._chance.randrange(10**6))
        body = parse_body(json.dumps(self._body()).encode())
        for _ in range(self._chance.choice([1, 1, 3])):
            self._take(observe(self.watch, Observation(asked, self._now, body), RULES))
            due = self._now + timedelta(seconds=10)
            if self.watch.state is WatchState.WATCHING:
                self.watch = replace(self.watch, due_at=due, gap_at=due + RULES.gap_window, poll_due_at=due)
            asked = self._now = due

    def _body(self) -> dict[str, Any]:
        chance = self._chance
        self._done += chance.randrange(1, 4)
        if self._done > self._total:
            self._done, self._total = self._total, self._total + chance.randrange(1, 50)
        failed = self._done // 7
        counts = {"completed": self._done - failed, "failed": failed, "running": self._total - self._done}
        status = {
            "num_task_runs": self._total,
            "task_run_status_counts": {name: count for name, count in counts.items() if count},
            "is_active": self._done < self._total,
            "status_message": chance.choice([None, "at work"]),
            "modified_at": chance.choice([None, *4 * [format_time(self._now - timedelta(seconds=1))]]),
        }
        body = {
            "taskgroup_id": self.watch.taskgroup_id,
            "metadata": self._metadata,
            "created_at": format_time(self.enrolled_at - timedelta(seconds=3)),
        }
        if chance.random() < self._oddity:
            status |= chance.choice(ODD_STATUS)
        if chance.random() < self._oddity:
            body |= chance.choice(ODD_MEMBERS)
        return {**body, "status": status}

    def _take(self, step: Transition) -> None:
        self.watch = step.watch
        self.entries.extend(step.entries)


def random_ledgers(
    seed: int, groups: int, entries_each: int, *, oddity: float, trouble: float, first: int = 0
) -> Iterator[RandomLedger]:
    """Yield `groups` ledgers of at least `entries_each` entries each, numbered from `first`."""
    chance = random.Random(seed)
    for number in range(first, first + groups):
        mark = "tgrp" if number % 5 else chance.choice(["Gruppe ä", "日本 😀", "\ufffd"])
        ledger = RandomLedger(chance, f"{mark}_{number:06}", oddity, trouble)
        while len(ledger.entries) < entries_each:
            ledger.go_on()
        yield ledger


def write(engine: Engine, ledgers: Iterable[MadeLedger]) -> None:
    """Write complete ledgers and their derived rows to a database in one transaction."""
    with writing(engine) as connection:
        for ledger in ledgers:
            row = watch_row(ledger.watch) | {"taskgroup_id": ledger.watch.taskgroup_id}
            connection.execute(insert(watches).values(**row, enrolled_at=ledger.enrolled_at))
            connection.execute(insert(entries), [entry_row(entry) for entry in ledger.entries])
            apply_entries(connection, ledger.entries)
