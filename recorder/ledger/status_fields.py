"""The documented fields of a response body, and the phase that it puts its group in."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeGuard

from recorder.ledger.canonical import JsonObject, JsonValue, plain_form
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.reuse import reuse_last
from recorder.ledger.timestamps import parse_upstream_time
from recorder.ledger.value_class import value_class

RULES = 2
"""The version of the rules for phases and anomalies. It is stored with what they derive."""

RUN_STATUSES = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")
ACTIVE_STATUSES = ("queued", "running", "cancelling")
FINISHED_STATUSES = ("completed", "failed", "cancelled")

STATUS_COLUMNS = (
    *("num_task_runs", *RUN_STATUSES, "is_active", "status_message", "modified_at", "metadata"),
    "created_at",
)
"""The columns that hold a status's fields, without its phase."""

_MAX_COLUMN_INTEGER = 2**63 - 1
_PLACES = {status: place for place, status in enumerate(RUN_STATUSES)}
_NO_COUNTS: JsonObject = {}


class Phase(StrEnum):
    """The phase of a group. A group that is not active is not assumed to be done."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    EMPTY = "empty"
    SETTLED = "settled"
    UNCLEAR = "unclear"


@value_class
class StatusFields:
    """The documented fields of one body; None where a field is absent, null or of another type.

    `counts` has the number of runs in each of RUN_STATUSES, in that order. `metadata` is JSON text. U+0000
    in a text is replaced by U+FFFD, since SQL texts cannot hold it.
    """

    phase: Phase
    num_task_runs: int | None
    counts: tuple[int | None, ...]
    is_active: bool | None
    status_message: str | None
    modified_at: datetime | None
    metadata: str | None
    created_at: datetime | None

    def count(self, run_status: str) -> int | None:
        """Return how many runs are in `run_status`, which is one of RUN_STATUSES."""
        return self.counts[_PLACES[run_status]]

    def columns(self) -> tuple[Any, ...]:
        """Return the values of STATUS_COLUMNS."""
        return (
            self.num_task_runs,
            *self.counts,
            self.is_active,
            self.status_message,
            self.modified_at,
            self.metadata,
            self.created_at,
        )


def read_body(body: ResponseBody) -> StatusFields:
    """Read the documented fields of `body`."""
    value, status = body.value, body.value["status"]
    counts = counts_of(status) or _NO_COUNTS
    active, message, metadata = status.get("is_active"), status.get("status_message"), value.get("metadata")
    return StatusFields(
        phase=phase_of(status),
        num_task_runs=_column_integer(status.get("num_task_runs")),
        counts=tuple([_column_integer(counts.get(name)) for name in RUN_STATUSES]),
        is_active=active if isinstance(active, bool) else None,
        status_message=_without_nul(message) if isinstance(message, str) else None,
        modified_at=parse_upstream_time(status.get("modified_at")),
        metadata=None if metadata is None else _json_text(metadata),
        created_at=parse_upstream_time(value.get("created_at")),
    )


def phase_of(status: JsonObject) -> Phase:
    """Return the phase for a body's `status` object; the first match wins."""
    active, total = status.get("is_active"), status.get("num_task_runs")
    if active is True:
        return Phase.ACTIVE
    counts = counts_of(status) or _NO_COUNTS
    required = counts.get("action_required")
    if is_count(required) and required > 0:
        return Phase.BLOCKED
    if not is_count(total):
        return Phase.UNCLEAR
    if total == 0 and not any(map(_above_zero, counts.values())):
        return Phase.EMPTY
    finished = sum(count for name in FINISHED_STATUSES if is_count(count := counts.get(name)))
    return Phase.SETTLED if active is False and finished == total > 0 else Phase.UNCLEAR


def finished_runs(status: JsonObject) -> int | None:
    """Return how many runs have completed, failed or been cancelled.

    None if `status` does not report it, or reports a number of more than 63 bits.
    """
    counts = counts_of(status)
    if counts is None:
        return None
    finished = 0
    for name in FINISHED_STATUSES:
        count = counts.get(name, 0)
        if type(count) is not int:
            return None
        finished += count
    return _column_integer(finished)


def counts_of(status: JsonObject) -> JsonObject | None:
    """Return the run counts of a `status` object as they were sent, None if there is no such object."""
    counts = status.get("task_run_status_counts")
    return counts if isinstance(counts, dict) else None


def is_count(value: object) -> TypeGuard[int]:
    """Whether `value` is a whole number; negative numbers count as such, `true` does not."""
    return type(value) is int


def _above_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _column_integer(value: Any) -> int | None:
    return value if type(value) is int and -_MAX_COLUMN_INTEGER <= value <= _MAX_COLUMN_INTEGER else None


@reuse_last
def _json_text(value: JsonValue) -> str:
    form = plain_form(value)
    text = _dumps(value) if form is None else form.decode()
    return text if "\\u0000" not in text else _dumps(_without_nul_inside(value))


def _dumps(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")


def _without_nul_inside(value: Any) -> Any:
    if isinstance(value, str):
        return _without_nul(value)
    if isinstance(value, list):
        return [_without_nul_inside(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul_inside(item) for key, item in sorted(value.items())}
    return value
