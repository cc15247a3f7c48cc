"""Strategies for any JSON body that an upstream could send, and the values that the SQL views show for it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import rfc8785
from hypothesis import strategies as st

MAX_SAFE = 2**53 - 1
DEEP = 200
RUN_STATUSES = ("queued", "action_required", "running", "completed", "failed", "cancelling", "cancelled")


@dataclass(frozen=True)
class Number:
    """A number with its spelling preserved."""

    literal: str


TIMES = {
    "2026-11-24T12:16:00.000000Z": "2026-11-24T12:16:00.000000Z",
    "2026-11-24T12:16:00Z": "2026-11-24T12:16:00.000000Z",
    "2026-11-24t12:16:00.5z": "2026-11-24T12:16:00.500000Z",
    "2026-11-24 12:16:00.123456789Z": "2026-11-24T12:16:00.123456Z",
    "2026-11-24T12:16:00+05:30": "2026-11-24T06:46:00.000000Z",
    "2026-11-24T12:16:00.000000-00:00": "2026-11-24T12:16:00.000000Z",
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00.000000Z",
    "0001-01-01T00:00:00Z": "0001-01-01T00:00:00.000000Z",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00+01:00": None,
    "2026-11-24T12:16:00": None,
    "2026-W48-2T12:16:00Z": None,
    "2026-02-30T12:16:00Z": None,
    "2026-11-24": None,
    "yesterday": None,
    "": None,
}
"""Texts used as times, and the instants that they represent, if any."""

_LITERALS = (
    *(
        "0",
        "-0",
        "1",
        "1.0",
        "1e0",
        "10e-1",
        "-1",
        "0.1",
        "0.10",
        "1e-7",
        "5e-324",
        "1e-400",
        "0e999",
        "-0.0",
    ),
    *("9007199254740991", "9007199254740992", "-9007199254740993", "9007199254740991.0", "1e16", "1e21"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551616", "1" + "0" * 30, "7" * 450),
    *(
        "0.1000000000000000055511151231257827",
        "1.7976931348623157e308",
        "1e400",
        "-1e400",
        "123456789.123456789",
    ),
)
_texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "",
        "\0",
        "a\0b",
        "\\u0000",
        "𝄞",
        "\ufffd",
        "\uffff",
        '"\\/',
        "é",
        "e\u0301",
        "\u2028",
        "text",
        "set",
        "drop",
    ]
)
_numbers = (
    st.sampled_from(_LITERALS)
    | st.integers(-(2**70), 2**70).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
).map(Number)
_counts = st.integers(0, 9).map(lambda count: Number(str(count)))
_scalars = st.none() | st.booleans() | _numbers | _texts
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_times = st.sampled_from(sorted(TIMES)) | _values


def _deep(inner: Any) -> Any:
    for level in range(DEEP - 3):
        inner = [inner] if level % 2 else {"": inner}
    return inner


_unknown = st.dictionaries(_texts, _values, max_size=2) | st.dictionaries(
    _texts, _values.map(_deep), min_size=1, max_size=1
)


def _members(names: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some or all of these members, and sometimes with unknown ones."""
    usual = st.fixed_dictionaries(names) | st.fixed_dictionaries({}, optional=names)
    return usual | st.builds(lambda others, known: others | known, _unknown, usual)


_status_counts = _members(dict.fromkeys(RUN_STATUSES, _counts | _scalars)) | _values
_status = _members(
    {
        "num_task_runs": _counts | _scalars,
        "task_run_status_counts": _status_counts,
        "is_active": st.booleans() | _scalars,
        "status_message": st.none() | _texts | _values,
        "modified_at": _times,
    }
)


def bodies(taskgroup_ids: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Bodies of groups; `status` is always an object, and numbers keep their spelling."""
    members = {
        "taskgroup_id": taskgroup_ids | _values,
        "metadata": st.none() | st.dictionaries(_texts, _scalars, max_size=4) | _values,
        "created_at": _times,
    }
    return st.builds(lambda body, status: {**body, "status": status}, _members(members), _status)


def json_text(value: Any, escape: bool) -> str:
    """Return a value as JSON text, in which numbers keep their spelling."""
    if isinstance(value, Number):
        return value.literal
    if isinstance(value, list):
        return f"[{', '.join(json_text(item, escape) for item in value)}]"
    if isinstance(value, dict):
        pairs = (
            f"{json.dumps(key, ensure_ascii=escape)}:{json_text(item, escape)}" for key, item in value.items()
        )
        return f"{{{','.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=escape)


def is_exact(value: Any) -> bool:
    """Whether RFC 8785 represents every number of a value exactly, so that it survives a round trip."""
    if isinstance(value, Number):
        return _is_exact_number(value.literal)
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or all(map(is_exact, value))


def _is_exact_number(literal: str) -> bool:
    if literal.removeprefix("-").isdigit():
        return abs(Decimal(literal)) <= MAX_SAFE
    number = float(literal)
    if math.isinf(number):
        return False
    form = rfc8785.dumps(number).decode()
    if form.removeprefix("-").isdigit() and abs(int(form)) > MAX_SAFE:
        return False
    return Decimal(form) == Decimal(literal)


def view_values(body: dict[str, Any]) -> dict[str, Any]:
    """Return what the views show for a body, limited to the columns that do not depend on rules."""
    status = body["status"]
    counts = status.get("task_run_status_counts")
    counts = counts if isinstance(counts, dict) else {}
    message, active = status.get("status_message"), status.get("is_active")
    return {
        "num_task_runs": _whole(status.get("num_task_runs")),
        **{name: _whole(counts.get(name)) for name in RUN_STATUSES},
        "is_active": active if isinstance(active, bool) else None,
        "status_message": _visible(message) if isinstance(message, str) else None,
        "modified_at": _instant(status.get("modified_at")),
        "metadata": _visible(body.get("metadata")),
        "created_at": _instant(body.get("created_at")),
    }


def _whole(value: Any) -> int | None:
    """Return a whole number, however it is spelled, if it fits in a column."""
    if not isinstance(value, Number):
        return None
    number = _read(value.literal)
    if not isinstance(number, int) or abs(number) >= 2**63:
        return None
    return number


def _read(literal: str) -> int | float | str:
    """Return a number as JSON parsers read it; one that is too large for them stays text."""
    if literal.removeprefix("-").isdigit():
        return literal if len(literal) > 400 else int(literal)
    number = float(literal)
    if math.isinf(number):
        return literal
    return int(number) if number.is_integer() and abs(number) <= MAX_SAFE else number


def _instant(value: Any) -> str | None:
    return TIMES.get(value) if isinstance(value, str) else None


def _visible(value: Any) -> Any:
    """Return a value as SQL shows it; U+0000 becomes U+FFFD."""
    if isinstance(value, Number):
        return _read(value.literal)
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_visible(item) for item in value]
    if isinstance(value, dict):
        return {_visible(key): _visible(item) for key, item in sorted(value.items())}
    return value
