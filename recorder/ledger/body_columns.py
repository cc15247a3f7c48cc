"""A body as typed columns and back: what does not fit the columns exactly goes into a sparse `extra`.

The columns alone rebuild the body that an upstream usually sends. `extra` is the difference between
that and the body as it was said, so decode(encode(body)) equals every body in canonical form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from recorder.ledger.canonical import JsonObject, canonical
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.ledger.status_fields import RUN_STATUSES, Reading, read_body
from recorder.ledger.timestamps import format_time

_COUNTS = "task_run_status_counts"
_STATUS_COLUMNS = ("num_task_runs", *RUN_STATUSES, "is_active", "status_message")
_status_values = attrgetter(*_STATUS_COLUMNS)


def encode(taskgroup_id: str, body: ResponseBody) -> tuple[Reading, str | None]:
    """Return the columns of `body` and its `extra` (JSON text, None where the columns say it all)."""
    reading = read_body(body)
    if body.text is not None:
        # json escapes U+0000 and everything else that a SQL text refuses.
        return reading, json.dumps({"text": body.text})
    extra = _differences(_usual_body(taskgroup_id, reading), body.value)
    return reading, json.dumps(extra, separators=(",", ":")) if extra else None


def decode(taskgroup_id: str, reading: Reading, extra: str | None) -> ResponseBody:
    """Rebuild the body as it was said.

    Raises:
        ValueError: columns and `extra` together are no body that was ever encoded.
    """
    try:
        changes = json.loads(extra) if extra is not None else {}
        if "text" in changes:
            return parse_body(changes["text"].encode())
        return parse_body(canonical(_changed(_usual_body(taskgroup_id, reading), changes)))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not an extra of an encoded body: {error!r}") from None


def decode_value(taskgroup_id: str, reading: Reading, extra: str | None) -> JsonObject:
    """Rebuild the body's value alone, for readers that trust their database."""
    if extra is None:
        return _usual_body(taskgroup_id, reading)
    changes = json.loads(extra)
    if "text" in changes:
        return parse_body(changes["text"].encode()).value
    return _changed(_usual_body(taskgroup_id, reading), changes)


def usual_status(columns: Mapping[str, Any]) -> JsonObject:
    """Return the `status` that columns alone rebuild; `modified_at` among them is a text or None."""
    return {
        "num_task_runs": columns["num_task_runs"],
        _COUNTS: {name: count for name in RUN_STATUSES if (count := columns[name]) is not None},
        "is_active": columns["is_active"],
        "status_message": columns["status_message"],
        "modified_at": columns["modified_at"],
    }


def _changed(value: dict[str, Any], changes: JsonObject) -> dict[str, Any]:
    _apply(value, changes.get("body"))
    _apply(value["status"], changes.get("status"))
    if "counts" in changes:
        _apply(value["status"][_COUNTS], changes["counts"])
    return value


def _usual_body(taskgroup_id: str, reading: Reading) -> dict[str, Any]:
    modified_at, created_at = reading.modified_at, reading.created_at
    columns: dict[str, Any] = dict(zip(_STATUS_COLUMNS, _status_values(reading), strict=True))
    columns["modified_at"] = None if modified_at is None else format_time(modified_at)
    return {
        "taskgroup_id": taskgroup_id,
        "metadata": None if reading.metadata is None else json.loads(reading.metadata),
        "created_at": None if created_at is None else format_time(created_at),
        "status": usual_status(columns),
    }


def _differences(usual: dict[str, Any], said: JsonObject) -> dict[str, Any]:
    """Compare level by level; `status` is always an object, the counts only usually are."""
    levels = {"body": _difference(usual, said, deeper="status")}
    status = usual["status"], said["status"]
    if isinstance(status[1].get(_COUNTS), dict):
        levels["status"] = _difference(*status, deeper=_COUNTS)
        levels["counts"] = _difference(status[0][_COUNTS], status[1][_COUNTS])
    else:
        levels["status"] = _difference(*status)
    return {level: change for level, change in levels.items() if change}


def _difference(usual: JsonObject, said: JsonObject, deeper: str | None = None) -> dict[str, Any]:
    put = {
        key: value
        for key, value in said.items()
        if key != deeper and (key not in usual or canonical(value) != canonical(usual[key]))
    }
    drop = sorted(usual.keys() - said.keys())
    return ({"set": put} if put else {}) | ({"drop": drop} if drop else {})


def _apply(target: dict[str, Any], change: JsonObject | None) -> None:
    if change is None:
        return
    for key in change.get("drop", ()):
        target.pop(key, None)
    target.update(change.get("set", {}))
