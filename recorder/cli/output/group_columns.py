"""The columns that `recorder groups` can add to its table, and the orders that it can sort by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from rich.text import Text

from recorder.cli.output.console import plain
from recorder.cli.output.format import show_time, until_text
from recorder.ledger.status_fields import RUN_STATUSES
from recorder.queries.change_text import expectation_text
from recorder.queries.json_output import dumps

Cell = Callable[[Mapping[str, Any]], Text]
"""Returns what a column shows of a group, given its body as in the API."""

NOTE = "note"
_METADATA = "metadata."


def unseen_keys(text: str | None, groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the metadata keys among the columns named in `text` that none of `groups` has."""
    names = [] if text is None else [name.strip() for name in text.split(",")]
    keys = [name.removeprefix(_METADATA) for name in names if name.startswith(_METADATA)]
    return [key for key in keys if not any(key in (group["metadata"] or {}) for group in groups)]


def columns_of(text: str | None, notes: Mapping[str, str]) -> dict[str, Cell]:
    """Return the columns that are named in `text`, separated by commas, by name; `notes` are those by group.

    Raises:
        UsageError: there is no column of that name.
    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    known: dict[str, Cell] = {
        NOTE: lambda group: plain(notes.get(group["taskgroup_id"], "")),
        "created": lambda group: Text(show_time(group["created_at"])),
        "eta": _eta,
        "expected": lambda group: Text(expectation_text(group["expected"]) if group["expected"] else ""),
        "due": lambda group: Text(show_time(group["due_at"])),
        "message": lambda group: plain((group["status"] or {}).get("status_message") or ""),
        "anomalies": lambda group: Text(", ".join(group["anomalies"] or [])),
        **{status: _count_cell(status) for status in RUN_STATUSES},
    }
    columns = {}
    for name in names:
        if name.startswith(_METADATA) and name != _METADATA:
            columns[name] = _metadata_cell(name.removeprefix(_METADATA))
        elif name in known:
            columns[name] = known[name]
        else:
            raise click.UsageError(
                f"--columns: {name[:80]!a} is not a column; there are {', '.join(known)} and metadata.KEY"
            )
    return columns


def _eta(group: Mapping[str, Any]) -> Text:
    eta = group["eta"]
    if eta["p10"] is None:
        return Text()
    return Text(f"{show_time(eta['p10'])} to {until_text(eta['p90'], eta['p10'])}")


def _count_cell(status: str) -> Cell:
    return lambda group: Text("" if (count := count_of(group, status)) is None else str(count))


def _metadata_cell(key: str) -> Cell:
    def cell(group: Mapping[str, Any]) -> Text:
        metadata = group["metadata"]
        if not isinstance(metadata, dict) or key not in metadata:
            return Text()
        value = metadata[key]
        return plain(value if isinstance(value, str) else dumps(value).decode())

    return cell


def count_of(group: Mapping[str, Any], status: str) -> int | None:
    """Return the number of runs in a status, None if it is not known; an absent count is 0."""
    counts = (group["status"] or {}).get("task_run_status_counts")
    count = counts.get(status, 0) if isinstance(counts, dict) else None
    return count if type(count) is int else None


_ORDERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "id": lambda group: group["taskgroup_id"].encode(),
    "failed": lambda group: None if (count := count_of(group, "failed")) is None else -count,
    "finished": lambda group: group["progress"]["fraction"],
    "seen": lambda group: group["last_seen_at"],
    "eta": lambda group: group["eta"]["p50"],
}
ORDERS = tuple(_ORDERS)


def in_order(groups: Sequence[dict[str, Any]], order: str) -> list[dict[str, Any]]:
    """Return groups sorted by one of ORDERS; those of which it is not known come last."""

    def key(group: Mapping[str, Any]) -> tuple[bool, Any]:
        value = _ORDERS[order](group)
        return (True, 0) if value is None else (False, value)

    return sorted(groups, key=key)
