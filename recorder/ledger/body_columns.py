"""A body as typed columns and back. What does not fit the columns exactly goes into a sparse `extra`.

The columns alone rebuild the usual body. `extra` is the difference between that and the body that was
received, so that every body is rebuilt exactly, in canonical form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from recorder.ledger.canonical import JsonObject, canonical
from recorder.ledger.response_body import ResponseBody, body_of, parse_body
from recorder.ledger.status_fields import RUN_STATUSES, StatusFields
from recorder.ledger.timestamps import format_time

_COUNTS = "task_run_status_counts"


def extra_of(taskgroup_id: str, body: ResponseBody, fields: StatusFields) -> str | None:
    """Return what `fields`, read from `body`, do not say of it: JSON text, or None if they say it all."""
    if body.text is not None:
        # json escapes U+0000 and everything else that a SQL text cannot hold.
        return json.dumps({"text": body.text})
    extra = _differences(_usual_body(taskgroup_id, _stored_columns(fields)), body.value)
    return json.dumps(extra, separators=(",", ":")) if extra else None


def decode(taskgroup_id: str, fields: StatusFields, extra: str | None) -> ResponseBody:
    """Rebuild the body that was received.

    Raises:
        ValueError: no body was ever stored as these fields and this `extra`.
    """
    return decode_columns(taskgroup_id, _stored_columns(fields), extra)


def decode_columns(taskgroup_id: str, columns: Sequence[Any], extra: str | None) -> ResponseBody:
    """Rebuild the body that was received from the values of STATUS_COLUMNS, with times as text.

    Raises:
        ValueError: no body was ever stored as these columns and this `extra`.
    """
    try:
        value = _usual_body(taskgroup_id, columns)
        if extra is None:
            return body_of(value)
        changes = json.loads(extra)
        if "text" in changes:
            return parse_body(changes["text"].encode())
        return parse_body(canonical(_changed(value, changes)))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not the columns and extra of a body: {error!r}") from None


def decode_value(taskgroup_id: str, fields: StatusFields, extra: str | None) -> JsonObject:
    """Rebuild the value of a body without checking it, for readers that trust their database."""
    value = _usual_body(taskgroup_id, _stored_columns(fields))
    if extra is None:
        return value
    changes = json.loads(extra)
    if "text" in changes:
        return parse_body(changes["text"].encode()).value
    return _changed(value, changes)


def usual_status(columns: Mapping[str, Any]) -> JsonObject:
    """Return the `status` object that columns alone rebuild; `modified_at` among them is text or None."""
    return _status(
        columns["num_task_runs"],
        [columns[name] for name in RUN_STATUSES],
        columns["is_active"],
        columns["status_message"],
        columns["modified_at"],
    )


def _stored_columns(fields: StatusFields) -> list[Any]:
    *others, modified_at, metadata, created_at = fields.columns()
    return [
        *others,
        None if modified_at is None else format_time(modified_at),
        metadata,
        None if created_at is None else format_time(created_at),
    ]


def _usual_body(taskgroup_id: str, columns: Sequence[Any]) -> dict[str, Any]:
    total, *counts, active, message, modified_at, metadata, created_at = columns
    return {
        "taskgroup_id": taskgroup_id,
        "metadata": None if metadata is None else _loaded(metadata),
        "created_at": created_at,
        "status": _status(total, counts, active, message, modified_at),
    }


def _status(
    total: Any, counts: Sequence[Any], is_active: Any, message: Any, modified_at: str | None
) -> dict[str, Any]:
    known = {name: count for name, count in zip(RUN_STATUSES, counts, strict=True) if count is not None}
    return {
        "num_task_runs": total,
        _COUNTS: known,
        "is_active": is_active,
        "status_message": message,
        "modified_at": modified_at,
    }


@lru_cache(maxsize=8)
def _loaded(metadata: str) -> Any:
    # The entries of a group mostly have the same metadata.
    return json.loads(metadata)


def _changed(value: dict[str, Any], changes: JsonObject) -> dict[str, Any]:
    _apply(value, changes.get("body"))
    _apply(value["status"], changes.get("status"))
    if "counts" in changes:
        _apply(value["status"][_COUNTS], changes["counts"])
    return value


def _differences(usual: dict[str, Any], received: JsonObject) -> dict[str, Any]:
    """Compare level by level: `status` is always an object, the counts usually are."""
    levels = {"body": _difference(usual, received, deeper="status")}
    status = usual["status"], received["status"]
    if isinstance(status[1].get(_COUNTS), dict):
        levels["status"] = _difference(*status, deeper=_COUNTS)
        levels["counts"] = _difference(status[0][_COUNTS], status[1][_COUNTS])
    else:
        levels["status"] = _difference(*status)
    return {level: change for level, change in levels.items() if change}


def _difference(usual: JsonObject, received: JsonObject, deeper: str | None = None) -> dict[str, Any]:
    put = {
        key: value
        for key, value in received.items()
        if key != deeper and (key not in usual or not _is_same(value, usual[key]))
    }
    drop = sorted(usual.keys() - received.keys())
    return ({"set": put} if put else {}) | ({"drop": drop} if drop else {})


def _is_same(one: Any, other: Any) -> bool:
    # Only metadata is a container on both sides, and there the usual value is the text of the received one
    # read back: inside it, `==` cannot mistake 1 for true.
    return type(one) is type(other) and bool(one == other)


def _apply(target: dict[str, Any], change: JsonObject | None) -> None:
    if change is None:
        return
    for key in change.get("drop", ()):
        target.pop(key, None)
    target.update(change.get("set", {}))
