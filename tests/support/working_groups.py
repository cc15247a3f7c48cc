"""Random ledgers of groups at work, whose responses are often odd, late or older than the one before."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from recorder.ledger.entries import Action, Entry, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.timestamps import format_time
from recorder.ledger.transitions import Rules, Transition, cease, expect, fail, observe, remark, resume, start
from recorder.ledger.watch import Watch, WatchState

RULES = Rules(timedelta(seconds=30), timedelta(seconds=900), timedelta(hours=2))
STEPS = (0, 1, 2, 5, 10, 15, 22)


def _time(seconds: float) -> datetime:
    return datetime(2026, 11, 24, 12, tzinfo=UTC) + timedelta(microseconds=round(seconds * 1e6))


class WorkingGroup:
    """A group whose runs end a few at a time, are added to, and sometimes need an action."""

    def __init__(self, chance: random.Random, name: str) -> None:
        self._chance = chance
        self._now = chance.uniform(0, 5000)
        self._created = None if chance.random() < 0.3 else self._now - chance.choice([0.5, 60, 900, -20, -3])
        self._modified = -1e9
        self._is_odd = chance.random() < 0.35
        self._total = chance.choice([0, 1, 1, 2, 3, 10, 37, 100])
        self._ended = {"completed": 0, "failed": 0, "cancelled": 0}
        self.enrolled_at = _time(self._now)
        self.entries: list[Entry] = []
        self.watch: Watch
        self._take(start(name, WatchChange(Action.STARTED, "ann", None), self.enrolled_at, RULES))

    def go_on(self) -> None:
        """Let something happen."""
        chance, at_most = self._chance, self._chance.random()
        self._now += chance.choice([0.5, 3, 10, 10, 10, 11.25, 29, 45, 500]) + chance.choice([0, at_most])
        what, now = chance.random(), _time(self._now)
        if self.watch.state not in {WatchState.WATCHING, WatchState.GONE}:
            self._take(resume(self.watch, WatchChange(Action.RESUMED, "ann", None), now, RULES))
        elif what < 0.8:
            self._answer()
        elif what < 0.9:
            self._fail()
        elif what < 0.93:
            self._take(remark(self.watch, WatchChange(Action.NOTED, "bob", "hm"), now))
        elif what < 0.96:
            self._take(expect(self.watch, {"runs": chance.choice([None, 5])}, "bob", now))
        else:
            action = chance.choice([Action.PAUSED, Action.STOPPED])
            self._take(cease(self.watch, WatchChange(action, "bob", None), now))

    def _take(self, step: Transition) -> None:
        self.watch = step.watch
        self.entries.extend(step.entries)

    def _fail(self) -> None:
        for _ in range(self._chance.randrange(1, 5)):
            cause, ended = self._chance.choice([Cause.NOT_FOUND, Cause.TIMEOUT]), _time(self._now + 0.1)
            self._take(fail(self.watch, Failure(_time(self._now), ended, cause, None, "x"), RULES))
            self._now += self._chance.choice([10, 100, 400])

    def _answer(self) -> None:
        if self._chance.random() < 0.6:
            self._work()
        body = parse_body(json.dumps(self._body()).encode())
        for _ in range(self._chance.choice([1, 1, 1, 2, 4])):
            asked = _time(self._now)
            self._now += self._chance.choice([0, 0.25, 2])
            self._take(observe(self.watch, Observation(asked, _time(self._now), body), RULES))
            if self.watch.state is WatchState.WATCHING:
                due = _time(self._now + 10)
                self.watch = replace(self.watch, due_at=due, gap_at=due + RULES.gap_window, poll_due_at=due)
            self._now += self._chance.choice([10, 9.5])

    def _work(self) -> None:
        chance, left = self._chance, self._total - sum(self._ended.values())
        if left == 0:
            if chance.random() > 0.35:
                return
            self._total += chance.choice([1, 2, 5, 50])
        elif chance.random() < 0.08:
            self._total += chance.randrange(1, 5)
        else:
            outcome = chance.choice([*["completed"] * 5, "failed", "cancelled"])
            self._ended[outcome] += chance.choice([1, left, chance.randrange(left + 1), max(1, left // 2)])
        known = self._modified if chance.random() < 0.9 else -1e9
        self._modified = max(known, self._now - chance.uniform(0, 15))

    def _body(self) -> dict[str, Any]:
        chance, left = self._chance, self._total - sum(self._ended.values())
        counts = {name: count for name, count in self._ended.items() if count or chance.random() < 0.3}
        is_active = left > 0 and chance.random() < 0.95
        if left > 0 and chance.random() < 0.06:
            counts["action_required"] = left
            is_active = chance.random() < 0.3
        elif left > 0:
            counts["running"] = left
        is_said = self._modified > 0 and chance.random() < 0.85
        status = {
            "num_task_runs": self._total,
            "task_run_status_counts": counts,
            "is_active": is_active,
            "status_message": None,
            "modified_at": format_time(_time(self._modified)) if is_said else None,
        }
        created = None if self._created is None else format_time(_time(self._created))
        body = {"taskgroup_id": self.watch.taskgroup_id, "metadata": None, "created_at": created}
        if self._is_odd and chance.random() < 0.25:
            status |= chance.choice(self._odd(counts))
            body |= chance.choice([{}] * 8 + [{"taskgroup_id": "another"}, {"created_at": "never"}])
        return {**body, "status": status}

    def _odd(self, counts: dict[str, int]) -> list[dict[str, Any]]:
        fewer = {name: count // 2 for name, count in counts.items()}
        long_ago, soon = (format_time(_time(self._now + seconds)) for seconds in (-5000, 50))
        return [
            *({"task_run_status_counts": None}, {"num_task_runs": None}, {"is_active": 1}),
            *({"num_task_runs": True}, {"num_task_runs": -3}, {"num_task_runs": self._total + 0.5}),
            *({"task_run_status_counts": {**counts, "paused": 2}}, {"task_run_status_counts": {}}),
            *({"task_run_status_counts": {**counts, "failed": True}}, {"modified_at": "yesterday"}),
            *({"modified_at": long_ago}, {"modified_at": soon}, {"task_run_status_counts": fewer}),
            {"num_task_runs": 0, "task_run_status_counts": {}, "is_active": False},
            {"num_task_runs": self._total + 3, "is_active": False},
            {"task_run_status_counts": fewer, "modified_at": long_ago},
        ]


def working_groups(seed: int, groups: int) -> list[WorkingGroup]:
    """Return random groups, some of which were never seen."""
    chance, made = random.Random(seed), []
    for number in range(groups):
        group = WorkingGroup(chance, f"tgrp_{number:05}")
        for _ in range(chance.choice(STEPS)):
            group.go_on()
        made.append(group)
    return made
