"""Anomalies: what is odd about a response. They are noted with its entry, and never keep it from being
recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from recorder.ledger.canonical import JsonObject
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import (
    ACTIVE_STATUSES,
    RUN_STATUSES,
    StatusFields,
    counts_of,
    finished_runs,
    is_count,
)


class Anomaly(StrEnum):
    UNKNOWN_STATUS = "unknown_status"
    UNKNOWN_FIELD = "unknown_field"
    BAD_TYPE = "bad_type"
    COUNT_MISMATCH = "count_mismatch"
    COUNTS_DECREASED = "counts_decreased"
    ACTIVE_MISMATCH = "active_mismatch"
    MODIFIED_AT_REGRESSED = "modified_at_regressed"
    ID_MISMATCH = "id_mismatch"
    BAD_TIMESTAMP = "bad_timestamp"
    INEXACT_NUMBER = "inexact_number"
    CLOCK_REGRESSED = "clock_regressed"


_BODY_MEMBERS = frozenset({"taskgroup_id", "metadata", "created_at", "status"})
_STATUS_MEMBERS = frozenset(
    {"num_task_runs", "task_run_status_counts", "is_active", "status_message", "modified_at"}
)
_RUN_STATUSES = frozenset(RUN_STATUSES)


def anomalies_of(
    body: ResponseBody,
    fields: StatusFields,
    *,
    taskgroup_id: str,
    finished_before: int | None,
    modified_before: datetime | None,
    clock_regressed: bool,
) -> tuple[Anomaly, ...]:
    """Return the anomalies of a response about `taskgroup_id`, each once and in the order of the enum.

    `fields` were read from `body`. `finished_before` and `modified_before` are the last known values before
    it, None if there are none.
    """
    status = body.value["status"]
    counts = counts_of(status)
    response = _Response(
        taskgroup_id=taskgroup_id,
        body=body,
        status=status,
        fields=fields,
        counts=counts,
        numbers={} if counts is None else {name: count for name, count in counts.items() if is_count(count)},
        finished_before=finished_before,
        modified_before=modified_before,
        clock_regressed=clock_regressed,
    )
    return tuple([anomaly for anomaly, applies in _RULES.items() if applies(response)])


@dataclass(slots=True)
class _Response:
    """What the rules look at. `numbers` are those of the counts that are whole numbers."""

    taskgroup_id: str
    body: ResponseBody
    status: JsonObject
    fields: StatusFields
    counts: JsonObject | None
    numbers: Mapping[str, int]
    finished_before: int | None
    modified_before: datetime | None
    clock_regressed: bool


def _has_unknown_status(response: _Response) -> bool:
    return response.counts is not None and not response.counts.keys() <= _RUN_STATUSES


def _has_unknown_field(response: _Response) -> bool:
    return not (response.body.value.keys() <= _BODY_MEMBERS and response.status.keys() <= _STATUS_MEMBERS)


def _has_bad_type(response: _Response) -> bool:
    """Whether a member that is there has another type than the one that the upstream documents."""
    value, status, counts = response.body.value, response.status, response.counts
    counts_are_good = (
        len(response.numbers) == len(counts) if counts is not None else "task_run_status_counts" not in status
    )
    return not (
        isinstance(value.get("taskgroup_id", ""), str)
        and _is_metadata(value.get("metadata"))
        and _is_text_or_null(value.get("created_at"))
        and is_count(status.get("num_task_runs", 0))
        and counts_are_good
        and isinstance(status.get("is_active", False), bool)
        and _is_text_or_null(status.get("status_message"))
        and _is_text_or_null(status.get("modified_at"))
    )


def _is_metadata(metadata: Any) -> bool:
    if metadata is None:
        return True
    return isinstance(metadata, dict) and all(
        isinstance(value, str | int | float) for value in metadata.values()
    )


def _is_text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _has_count_mismatch(response: _Response) -> bool:
    total = response.status.get("num_task_runs")
    return response.counts is not None and is_count(total) and sum(response.numbers.values()) != total


def _has_decreased_counts(response: _Response) -> bool:
    before, finished = response.finished_before, finished_runs(response.status)
    return before is not None and finished is not None and finished < before


def _has_active_mismatch(response: _Response) -> bool:
    active, counts, numbers = response.status.get("is_active"), response.counts, response.numbers
    if counts is None or not isinstance(active, bool):
        return False
    working = any(numbers.get(name, 0) > 0 for name in ACTIVE_STATUSES)
    if working or not active:
        return working and not active
    # A run in an unknown status may or may not make its group active, so it contradicts nothing.
    return not any(count > 0 for name, count in numbers.items() if name not in _RUN_STATUSES)


def _has_earlier_modified_at(response: _Response) -> bool:
    before, modified_at = response.modified_before, response.fields.modified_at
    return before is not None and modified_at is not None and modified_at < before


def _has_other_id(response: _Response) -> bool:
    return bool(response.body.value.get("taskgroup_id") != response.taskgroup_id)


def _has_bad_timestamp(response: _Response) -> bool:
    fields = response.fields
    created, modified = response.body.value.get("created_at"), response.status.get("modified_at")
    return (fields.created_at is None and isinstance(created, str)) or (
        fields.modified_at is None and isinstance(modified, str)
    )


_RULES: dict[Anomaly, Callable[[_Response], bool]] = {
    Anomaly.UNKNOWN_STATUS: _has_unknown_status,
    Anomaly.UNKNOWN_FIELD: _has_unknown_field,
    Anomaly.BAD_TYPE: _has_bad_type,
    Anomaly.COUNT_MISMATCH: _has_count_mismatch,
    Anomaly.COUNTS_DECREASED: _has_decreased_counts,
    Anomaly.ACTIVE_MISMATCH: _has_active_mismatch,
    Anomaly.MODIFIED_AT_REGRESSED: _has_earlier_modified_at,
    Anomaly.ID_MISMATCH: _has_other_id,
    Anomaly.BAD_TIMESTAMP: _has_bad_timestamp,
    Anomaly.INEXACT_NUMBER: lambda response: not response.body.exact,
    Anomaly.CLOCK_REGRESSED: lambda response: response.clock_regressed,
}
"""When an anomaly applies. The order is the one in which anomalies are stored."""
