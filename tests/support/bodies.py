"""Times and response bodies shared by the tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from recorder.ledger.response_body import ResponseBody, parse_body

GROUP = "tgrp_1"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

ABSENT: Any = object()
"""Given as a member's value, leaves the member out."""


def moment(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ABSENT}


def status_value(**changes: Any) -> dict[str, Any]:
    usual = {
        "num_task_runs": 3,
        "task_run_status_counts": {"running": 2, "completed": 1},
        "is_active": True,
        "status_message": None,
        "modified_at": "2026-11-24T11:59:00.000000Z",
    }
    return _present(usual | changes)


def body_value(status: Any = None, **changes: Any) -> dict[str, Any]:
    usual = {
        "taskgroup_id": GROUP,
        "metadata": {"team": "a"},
        "created_at": "2026-11-24T11:00:00.000000Z",
        "status": status_value() if status is None else status,
    }
    return _present(usual | changes)


def parsed(value: Any) -> ResponseBody:
    return parse_body(json.dumps(value).encode())


def body_of(**status: Any) -> ResponseBody:
    """A usual body with changes in its `status`."""
    return parsed(body_value(status_value(**status)))


def counted(total: int, active: bool, **counts: int) -> ResponseBody:
    return body_of(num_task_runs=total, task_run_status_counts=counts, is_active=active)


RUNNING = counted(3, True, running=2, completed=1)
FURTHER = counted(3, True, running=1, completed=2)
SETTLED = counted(3, False, completed=3)
BLOCKED = counted(3, False, completed=2, action_required=1)
EMPTY = counted(0, False)
UNCLEAR = counted(3, False, completed=2)
