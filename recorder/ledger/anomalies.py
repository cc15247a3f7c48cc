"""Anomalies: what is odd about a response. They are noted with its entry, and never keep it from being
recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from types import NoneType
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
from recorder.ledger.timestamps import is_plausible


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


_TEXT_OR_NULL = (str, NoneType)
_BODY_TYPES = {
    "taskgroup_id": (str,),
    "metadata": (dict, NoneType),
    "created_at": _TEXT_OR_NULL,
    "status": (dict,),
}
_STATUS_TYPES = {
    "num_task_runs": (int,),
    "task_run_status_counts": (dict,),
    "is_active": (bool,),
    "status_message": _TEXT_OR_NULL,
    "modified_at": _TEXT_OR_NULL,
}
"""The members that the upstream documents, and their types."""
_METADATA_TYPES = frozenset({str, int, float, bool})
_RUN_STATUSES = frozenset(RUN_STATUSES)
_PLACES = {anomaly: place for place, anomaly in enumerate(Anomaly)}


def anomalies_of(
    body: ResponseBody,
    fields: StatusFields,
    *,
    taskgroup_id: str,
    observed_at: datetime,
    finished_before: int | None,
    modified_before: datetime | None,
    clock_regressed: bool,
) -> tuple[Anomaly, ...]:
    """Return the anomalies of a response about `taskgroup_id`, each once and in the order of the enum.

    `fields` were read from `body`, first seen at `observed_at`. `finished_before` and `modified_before` are
    what it is compared with, None if there is nothing.
    """
    value, status = body.value, body.value["status"]
    finished, modified_at = finished_runs(status), fields.modified_at
    found = {*_in_members(value, status), *_in_counts(status)}
    if value.get("taskgroup_id") != taskgroup_id:
        found.add(Anomaly.ID_MISMATCH)
    created_at = fields.created_at
    if (
        _is_bad(created_at, value.get("created_at"))
        or _is_bad(modified_at, status.get("modified_at"))
        or (created_at is not None and created_at > observed_at)
    ):
        found.add(Anomaly.BAD_TIMESTAMP)
    if not body.exact:
        found.add(Anomaly.INEXACT_NUMBER)
    if finished is not None and finished_before is not None and finished < finished_before:
        found.add(Anomaly.COUNTS_DECREASED)
    if modified_at is not None and modified_before is not None and modified_at < modified_before:
        found.add(Anomaly.MODIFIED_AT_REGRESSED)
    if clock_regressed:
        found.add(Anomaly.CLOCK_REGRESSED)
    return tuple(sorted(found, key=_PLACES.__getitem__)) if found else ()


def _in_members(value: JsonObject, status: JsonObject) -> Iterator[Anomaly]:
    for members, documented in ((value, _BODY_TYPES), (status, _STATUS_TYPES)):
        for name, member in members.items():
            types = documented.get(name)
            if types is None:
                yield Anomaly.UNKNOWN_FIELD
            elif type(member) not in types:
                yield Anomaly.BAD_TYPE
    metadata = value.get("metadata")
    if isinstance(metadata, dict) and not _METADATA_TYPES.issuperset(map(type, metadata.values())):
        yield Anomaly.BAD_TYPE


def _in_counts(status: JsonObject) -> Iterator[Anomaly]:
    counts = counts_of(status)
    if counts is None:
        return
    numbers = {name: count for name, count in counts.items() if is_count(count)}
    if len(numbers) < len(counts):
        yield Anomaly.BAD_TYPE
    if not _RUN_STATUSES.issuperset(counts):
        yield Anomaly.UNKNOWN_STATUS
    total, active = status.get("num_task_runs"), status.get("is_active")
    if is_count(total) and sum(numbers.values()) != total:
        yield Anomaly.COUNT_MISMATCH
    if isinstance(active, bool) and _contradict(numbers, active):
        yield Anomaly.ACTIVE_MISMATCH


def _contradict(numbers: Mapping[str, int], active: bool) -> bool:
    """Whether counts contradict `is_active`."""
    occupied = {name for name, count in numbers.items() if count > 0}
    working = not occupied.isdisjoint(ACTIVE_STATUSES)
    if working or not active:
        return working and not active
    # A run in an unknown status may or may not make its group active, so it contradicts nothing.
    return occupied <= _RUN_STATUSES


def _is_bad(moment: datetime | None, sent: Any) -> bool:
    return isinstance(sent, str) and not is_plausible(moment)
