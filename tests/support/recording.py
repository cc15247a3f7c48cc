"""Fill a database as a recorder would, at times chosen by the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Engine

from recorder.ledger.entries import Action, ExpectationChanges
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import Rules, Transition, fail, observe
from recorder.store.enrolment import Deadline, cease_watching, expect_of_group, watch_group
from recorder.store.leases import Claim, PollResult, claim_due, release, write_results
from recorder.store.transactions import writing

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULES = Rules(gap_window=timedelta(seconds=30), gone_after=timedelta(seconds=900), retire_after=None)
INTERVAL = timedelta(seconds=10)


def after(seconds: float) -> datetime:
    """The time `seconds` after noon."""
    return NOON + timedelta(seconds=seconds)


def active(**counts: int) -> dict[str, Any]:
    """An active status with the given counts."""
    return {
        "num_task_runs": sum(counts.values()),
        "task_run_status_counts": counts,
        "is_active": True,
        "status_message": None,
        "modified_at": "2026-11-24T11:59:59Z",
    }


def settled(**counts: int) -> dict[str, Any]:
    return {**active(**counts), "is_active": False}


class Recording:
    """Performs single steps of a recorder at given times, in seconds after noon."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def watch(self, taskgroup_id: str, at: float = 0) -> None:
        watch_group(self._engine, taskgroup_id, actor="ada", note=None, now=lambda: after(at), rules=RULES)

    def pause(self, taskgroup_id: str, at: float) -> None:
        cease_watching(
            self._engine,
            taskgroup_id,
            Action.PAUSED,
            actor="ada",
            note="lunch",
            now=lambda: after(at),
            deadline=Deadline(0),
        )

    def expect(self, taskgroup_id: str, at: float, **changes: Any) -> None:
        expect_of_group(
            self._engine,
            taskgroup_id,
            cast(ExpectationChanges, changes),
            actor="ada",
            note=None,
            now=lambda: after(at),
            deadline=Deadline(0),
        )

    def see(self, taskgroup_id: str, at: float, status: dict[str, Any], **members: Any) -> None:
        """Record a response received at `at` to a poll sent a quarter of a second earlier."""
        body = {"taskgroup_id": taskgroup_id, "metadata": None, "created_at": None, "status": status}
        self.see_raw(taskgroup_id, at, json.dumps({**body, **members}))

    def see_raw(self, taskgroup_id: str, at: float, body: str) -> None:
        seen = Observation(after(at - 0.25), after(at), parse_body(body.encode()))
        self._poll(taskgroup_id, at, lambda claim: observe(claim.watch, seen, RULES), due=True)

    def fail(self, taskgroup_id: str, at: float, cause: Cause = Cause.SERVER_ERROR) -> None:
        failure = Failure(after(at - 0.25), after(at), cause, 503, "busy")
        self._poll(taskgroup_id, at, lambda claim: fail(claim.watch, failure, RULES), due=False)

    def _poll(
        self, taskgroup_id: str, at: float, step_of: Callable[[Claim], Transition], *, due: bool
    ) -> None:
        now = after(at)
        with writing(self._engine) as connection:
            claims = claim_due(
                connection, owner="test", now=now, lease_until=now + timedelta(seconds=30), limit=1000
            )
            (claim,) = (claim for claim in claims if claim.watch.taskgroup_id == taskgroup_id)
            result = _finished(claim, step_of(claim), now, due=due)
            assert write_results(connection, [result]).results == [result]
            release(connection, ["test"])


def _finished(claim: Claim, step: Transition, now: datetime, *, due: bool) -> PollResult:
    next_due = now + INTERVAL
    watch = replace(step.watch, poll_due_at=next_due)
    if due:
        watch = replace(watch, due_at=next_due, gap_at=next_due + RULES.gap_window)
    return PollResult(claim, step.entries, watch, now, INTERVAL.total_seconds())
