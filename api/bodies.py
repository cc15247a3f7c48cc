"""From what the readers return to bodies that are ready for JSON; pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from api.wire import RawJson
from recorder.completion.dwell import until_last_seen
from recorder.completion.summary import Summary
from recorder.ledger.chain import gap_members
from recorder.ledger.decision import open_gap
from recorder.ledger.encoding import usual_status
from recorder.ledger.entries import Gap, Kind
from recorder.ledger.status import FINISHED_STATUSES, is_count
from recorder.ledger.times import format_time
from recorder.store.items import Item
from recorder.store.readers import GroupItem

_NOTHING_SAID: dict[str, Any] = dict.fromkeys(
    ("observed_at", "last_seen_at", "polls", "phase", "status", "metadata", "created_at", "anomalies")
)
"""What a status says, of what is none or was never seen."""

_GAP = {
    "from": "gap_from",
    "to": "at",
    **{name: f"gap_{name}" for name in ("cause", "attempts", "unpolled_seconds", "http_status", "detail")},
}
_WATCH = {name: f"watch_{name}" for name in ("action", "actor", "note")}
"""The members of a gap and of a change of the watch, each by its column."""


def group_body(group: GroupItem, eta: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A group as it stands, with its `eta`; its open gap is the one at `now`."""
    watch, said = group.watch, _latest(group)
    gap = open_gap(watch, now)
    return {
        "taskgroup_id": watch.taskgroup_id,
        "state": watch.state.value,
        "phase": said["phase"],
        "created_at": said["created_at"],
        "metadata": said["metadata"],
        "status": said["status"],
        "seq": said["seq"],
        "observed_at": said["observed_at"],
        "last_seen_at": said["last_seen_at"],
        "polls": said["polls"],
        "due_at": _time(watch.due_at),
        "interval_seconds": group.interval_seconds,
        "progress": progress_body(said["status"]),
        "open_gap": None if gap is None else gap_members(gap),
        "anomalies": said["anomalies"],
        "eta": eta,
    }


def status_body(group: GroupItem) -> dict[str, Any]:
    """A group's latest status."""
    said = _latest(group)
    return {
        "taskgroup_id": group.watch.taskgroup_id,
        "phase": said["phase"],
        "status": said["status"],
        "seq": said["seq"],
        "observed_at": said["observed_at"],
        "last_seen_at": said["last_seen_at"],
        "polls": said["polls"],
        "anomalies": said["anomalies"],
        "digest": said["digest"],
    }


def item_body(item: Item) -> dict[str, Any]:
    """One entry of a group's history, its metadata as RawJson."""
    columns = item.columns
    kind = columns["kind"]
    return {
        "seq": columns["seq"],
        "kind": kind,
        "at": columns["at"],
        **(_said(item, RawJson) if kind == Kind.STATUS else _NOTHING_SAID),
        "gap": _members(columns, _GAP) if kind == Kind.GAP else None,
        "watch": _members(columns, _WATCH) if kind == Kind.WATCH else None,
        "digest": columns["digest"],
    }


def open_gap_body(gap: Gap) -> dict[str, Any]:
    """A gap that no entry holds yet, as an item of a group's history."""
    return {
        "seq": None,
        "kind": Kind.GAP.value,
        "at": None,
        **_NOTHING_SAID,
        "gap": gap_members(gap),
        "watch": None,
        "digest": None,
    }


def gap_item_body(held: Item | Gap) -> dict[str, Any]:
    """One of a group's gaps: the entry that holds it, or the gap itself while it is open."""
    seq, gap = (held.seq, held.content) if isinstance(held, Item) else (None, held)
    if not isinstance(gap, Gap):
        raise TypeError(f"entry {seq} is no gap")
    members = gap_members(gap)
    return {
        "seq": seq,
        "from": members.pop("from"),
        "to": members.pop("to"),
        "duration_seconds": None if gap.to is None else (gap.to - gap.from_).total_seconds(),
        **members,
    }


def coverage_body(group: GroupItem, summary: Summary) -> dict[str, Any]:
    """How much of the time in which a group was watched it was seen."""
    return asdict(until_last_seen(summary.dwell, group.watch.open).coverage())


def progress_body(status: dict[str, Any] | None) -> dict[str, Any]:
    """How many runs have finished; an absent count is 0, what is no whole number is not known."""
    counts, total = (status or {}).get("task_run_status_counts"), (status or {}).get("num_task_runs")
    said: list[Any] = [None]
    if isinstance(counts, dict):
        said = [counts.get(name, 0) for name in FINISHED_STATUSES]
    finished = sum(said) if all(is_count(count) for count in said) else None
    total = total if is_count(total) else None
    return {"finished": finished, "total": total, "fraction": _fraction(finished, total)}


def _latest(group: GroupItem) -> dict[str, Any]:
    item = group.latest
    if item is None:
        return {**_NOTHING_SAID, "seq": None, "digest": None}
    return {**_said(item, json.loads), "seq": item.seq, "digest": item.digest}


def _said(item: Item, read: Callable[[str], Any]) -> dict[str, Any]:
    """What a status entry says, straight from its columns where these say it all; `read` takes the text of
    its metadata."""
    columns = item.columns
    extra, metadata, anomalies = columns["extra"], columns["metadata"], columns["anomalies"]
    said: dict[str, Any] = {
        "observed_at": columns["at"],
        "last_seen_at": columns["until_seen_at"],
        "polls": columns["until_polls"],
        "phase": columns["phase"],
        "status": None,
        "metadata": None,
        "created_at": columns["created_at"],
        "anomalies": [] if anomalies == "[]" else json.loads(anomalies),
    }
    if extra is None:
        said["status"] = usual_status(columns)
        said["metadata"] = None if metadata is None else read(metadata)
    else:
        value = item.value()
        said["status"], said["metadata"] = value["status"], value.get("metadata")
    return said


def _members(columns: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {name: columns[column] for name, column in names.items()}


def _fraction(finished: int | None, total: int | None) -> float | None:
    if finished is None or total is None or total <= 0:
        return None
    try:
        return finished / total
    except OverflowError:
        return None


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
