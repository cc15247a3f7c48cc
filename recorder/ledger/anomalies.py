"""What is odd about a response: noted with its entry, and never a reason not to record it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

from recorder.ledger.canonical import JsonObject
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import ACTIVE_STATUSES, RUN_STATUSES, Reading, finished_runs, is_count
from recorder.ledger.timestamps import parse_upstream_time


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


_BODY_MEMBERS = {"taskgroup_id", "metadata", "created_at", "status"}
_STATUS_MEMBERS = {"num_task_runs", "task_run_status_counts", "is_active", "status_message", "modified_at"}


def anomalies_of(
    body: ResponseBody,
    reading: Reading,
    *,
    taskgroup_id: str,
    finished_before: int | None,
    modified_before: datetime | None,
    clock_regressed: bool,
) -> tuple[Anomaly, ...]:
    """Return the anomalies of a response to a question about `taskgroup_id`, each once.

    `finished_before` and `modified_before` are the last that were said before it, None if none ever was.
    """
    found = set(_of_the_body(body)) | set(_of_the_counts(body.value["status"]))
    if body.value.get("taskgroup_id") != taskgroup_id:
        found.add(Anomaly.ID_MISMATCH)
    finished = finished_runs(body.value["status"])
    if finished is not None and finished_before is not None and finished < finished_before:
        found.add(Anomaly.COUNTS_DECREASED)
    if reading.modified_at and modified_before and reading.modified_at < modified_before:
        found.add(Anomaly.MODIFIED_AT_REGRESSED)
    if clock_regressed:
        found.add(Anomaly.CLOCK_REGRESSED)
    return tuple(anomaly for anomaly in Anomaly if anomaly in found)


def _of_the_body(body: ResponseBody) -> Iterator[Anomaly]:
    value, status = body.value, body.value["status"]
    if not body.exact:
        yield Anomaly.INEXACT_NUMBER
    if value.keys() - _BODY_MEMBERS or status.keys() - _STATUS_MEMBERS:
        yield Anomaly.UNKNOWN_FIELD
    if not all(_well_typed(value, status)):
        yield Anomaly.BAD_TYPE
    times = value.get("created_at"), status.get("modified_at")
    if any(isinstance(time, str) and parse_upstream_time(time) is None for time in times):
        yield Anomaly.BAD_TIMESTAMP


def _well_typed(value: JsonObject, status: JsonObject) -> Iterator[bool]:
    """Whether each member that is there has the type that the upstream documents."""
    yield isinstance(value.get("taskgroup_id", ""), str)
    yield _is_metadata(value.get("metadata"))
    yield _is_text_or_null(value.get("created_at"))
    yield is_count(status.get("num_task_runs", 0))
    counts = status.get("task_run_status_counts", {})
    yield isinstance(counts, dict) and all(is_count(count) for count in counts.values())
    yield isinstance(status.get("is_active", False), bool)
    yield _is_text_or_null(status.get("status_message"))
    yield _is_text_or_null(status.get("modified_at"))


def _is_metadata(metadata: Any) -> bool:
    return metadata is None or (
        isinstance(metadata, dict)
        and all(isinstance(value, str | int | float) for value in metadata.values())
    )


def _is_text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _of_the_counts(status: JsonObject) -> Iterator[Anomaly]:
    counts, total, active = (
        status.get("task_run_status_counts"),
        status.get("num_task_runs"),
        status.get("is_active"),
    )
    if not isinstance(counts, dict):
        return
    known = {name: count for name, count in counts.items() if is_count(count)}
    unknown = counts.keys() - set(RUN_STATUSES)
    if unknown:
        yield Anomaly.UNKNOWN_STATUS
    if is_count(total) and sum(known.values()) != total:
        yield Anomaly.COUNT_MISMATCH
    if isinstance(active, bool) and _contradicts(active, known, unknown):
        yield Anomaly.ACTIVE_MISMATCH


def _contradicts(active: bool, counts: dict[str, int], unknown: set[str]) -> bool:
    """A run in an unknown status may or may not make its group active: it contradicts nothing."""
    working = any(counts.get(name, 0) > 0 for name in ACTIVE_STATUSES)
    if active and not working:
        return not any(counts.get(name, 0) > 0 for name in unknown)
    return working and not active
