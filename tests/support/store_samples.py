"""Sample data for the tests of the store: response bodies, and groups with a history."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import parse_body
from recorder.ledger.transitions import Rules, Transition, fail, observe
from recorder.polling.schedule import Intervals, plan
from recorder.store.enrolment import watch_group
from recorder.store.leases import Claim, PollResult, claim_due, write_results
from recorder.store.transactions import writing

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULES = Rules(timedelta(seconds=30), timedelta(seconds=900), timedelta(days=7))
PACE = Intervals(*(timedelta(seconds=each) for each in (10, 60, 300, 30)))
LEASE = timedelta(seconds=30)
OWNER = "recorder-one"


def at(seconds: float) -> datetime:
    """Return the time `seconds` after noon."""
    return NOON + timedelta(seconds=seconds)


def body(taskgroup_id: str, completed: int, total: int = 5, **members: Any) -> dict[str, Any]:
    """Return a response body with `completed` of `total` runs completed and the others running."""
    counts = {"completed": completed, "running": total - completed}
    return {
        "taskgroup_id": taskgroup_id,
        "metadata": {"customer": "acme"},
        "created_at": "2026-11-24T11:59:00.000000Z",
        "status": {
            "num_task_runs": total,
            "task_run_status_counts": {name: count for name, count in counts.items() if count},
            "is_active": completed < total,
            "status_message": None,
            "modified_at": None,
        },
        **members,
    }


def seen(value: dict[str, Any], seconds: float) -> Observation:
    """Return the observation of a body received `seconds` after noon, polled half a second earlier."""
    return Observation(at(seconds - 0.5), at(seconds), parse_body(json.dumps(value).encode()))


def failed(seconds: float, cause: Cause = Cause.SERVER_ERROR, status: int | None = 503) -> Failure:
    return Failure(at(seconds - 0.5), at(seconds), cause, status, "Service Unavailable")


def enrol(engine: Engine, taskgroup_id: str, seconds: float = 0) -> None:
    watch_group(
        engine, taskgroup_id, actor="ada@host", note="March batch", now=lambda: at(seconds), rules=RULES
    )


def claim_one(engine: Engine, taskgroup_id: str, seconds: float, owner: str = OWNER) -> Claim:
    """Claim everything that is due and return the claim of one group."""
    with writing(engine) as connection:
        claims = claim_due(
            connection, owner=owner, now=at(seconds), lease_until=at(seconds) + LEASE, limit=100
        )
    return next(claim for claim in claims if claim.watch.taskgroup_id == taskgroup_id)


def finished(claim: Claim, outcome: Observation | Failure) -> PollResult:
    """Return the result of polling a claim, planned without jitter."""
    step: Transition
    if isinstance(outcome, Failure):
        step, now = fail(claim.watch, outcome, RULES), outcome.ended_at
    else:
        step, now = observe(claim.watch, outcome, RULES), outcome.observed_at
    planned = plan(step.watch, now, PACE, chance=0)
    return PollResult(claim, step.entries, planned.watch, planned.next_poll_at, planned.interval_seconds)


def poll(engine: Engine, taskgroup_id: str, outcome: Observation | Failure) -> None:
    """Take one poll of a group through to the database, sent at the time its outcome records."""
    asked = (outcome.asked_at - NOON).total_seconds()
    claim = claim_one(engine, taskgroup_id, asked)
    with writing(engine) as connection:
        assert written(connection, finished(claim, outcome)) == {taskgroup_id}


def written(connection: Connection, *results: PollResult) -> set[str]:
    """Write poll results; return the ids of the groups whose claims were still valid."""
    return {item.watch.taskgroup_id for item in write_results(connection, results).results}
