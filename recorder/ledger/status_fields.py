"""The reported members of a response body, and the phase that it puts a group in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeGuard

from recorder.ledger.canonical import JsonObject, JsonValue
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.timestamps import parse_upstream_time

RULES = 1
"""The version of the rules below and of the anomalies: stored with what they derive."""

RUN_STATUSES = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")
ACTIVE_STATUSES = ("queued", "running", "cancelling")
FINISHED_STATUSES = ("completed", "failed", "cancelled")

_MAX_COLUMN_INTEGER = 2**63 - 1


class Phase(StrEnum):
    """Where a group stands. "Not active" is never taken for "done"."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    EMPTY = "empty"
    SETTLED = "settled"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Reading:
    """The reported members of one body; None where a member is absent, null or of another type.

    `metadata` is JSON text. U+0000 in a text shows as U+FFFD, since SQL texts cannot hold it.
    """

    phase: Phase
    num_task_runs: int | None
    queued: int | None
    action_required: int | None
    running: int | None
    completed: int | None
    failed: int | None
    cancelling: int | None
    cancelled: int | None
    is_active: bool | None
    status_message: str | None
    modified_at: datetime | None
    metadata: str | None
    created_at: datetime | None


def read_body(body: ResponseBody) -> Reading:
    """Read the reported members of `body`."""
    status = body.value["status"]
    counts = _counts(status)
    message = status.get("status_message")
    metadata = body.value.get("metadata")
    return Reading(
        phase=phase_of(status),
        num_task_runs=_column_integer(status.get("num_task_runs")),
        **{name: _column_integer(counts.get(name)) for name in RUN_STATUSES},
        is_active=active if isinstance(active := status.get("is_active"), bool) else None,
        status_message=_without_nul(message) if isinstance(message, str) else None,
        modified_at=parse_upstream_time(status.get("modified_at")),
        metadata=None if metadata is None else _json_text(metadata),
        created_at=parse_upstream_time(body.value.get("created_at")),
    )


def phase_of(status: JsonObject) -> Phase:
    """Return the phase that a body's `status` object puts its group in; the first match wins."""
    counts = {name: count for name, count in _counts(status).items() if is_count(count)}
    total = status.get("num_task_runs")
    if status.get("is_active") is True:
        return Phase.ACTIVE
    if counts.get("action_required", 0) > 0:
        return Phase.BLOCKED
    if is_count(total) and total == 0 and not any(map(_above_zero, _counts(status).values())):
        return Phase.EMPTY
    finished = sum(counts.get(name, 0) for name in FINISHED_STATUSES)
    if status.get("is_active") is False and is_count(total) and finished == total > 0:
        return Phase.SETTLED
    return Phase.UNCLEAR


def finished_runs(status: JsonObject) -> int | None:
    """Return how many runs have completed, failed or been cancelled.

    None if `status` does not say so, or says a number beyond all sense (of more than 63 bits).
    """
    counts = status.get("task_run_status_counts")
    if not isinstance(counts, dict):
        return None
    finished = [counts.get(name, 0) for name in FINISHED_STATUSES]
    return _column_integer(sum(finished)) if all(map(is_count, finished)) else None


def is_count(value: object) -> TypeGuard[int]:
    """Whether `value` is a whole number, a negative one too; `true` is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _counts(status: JsonObject) -> dict[str, Any]:
    counts = status.get("task_run_status_counts")
    return counts if isinstance(counts, dict) else {}


def _above_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _column_integer(value: Any) -> int | None:
    return value if is_count(value) and abs(value) <= _MAX_COLUMN_INTEGER else None


def _json_text(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return (
        text
        if "\\u0000" not in text
        else json.dumps(_without_nul_inside(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    )


def _without_nul(text: str) -> str:
    return text.replace("\0", "�")


def _without_nul_inside(value: Any) -> Any:
    if isinstance(value, str):
        return _without_nul(value)
    if isinstance(value, list):
        return [_without_nul_inside(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul_inside(item) for key, item in sorted(value.items())}
    return value
