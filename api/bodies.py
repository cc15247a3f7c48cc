"""From what the readers return to bodies that are ready for JSON; pure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from recorder.completion.dwell import until_last_seen
from recorder.completion.summary import Summary
from recorder.ledger.chain import gap_members, watch_members
from recorder.ledger.decision import open_gap
from recorder.ledger.entries import Gap, WatchChange
from recorder.ledger.status import FINISHED_STATUSES, is_count
from recorder.ledger.times import format_time
from recorder.store.readers import GroupItem, Item, StatusItem

_NEVER_SEEN: dict[str, Any] = dict.fromkeys(
    ("phase", "created_at", "metadata", "status", "observed_at", "last_seen_at", "polls", "anomalies")
)

_NO_ITEM: dict[str, Any] = dict.fromkeys(
    (
        *("seq", "kind", "at", "observed_at", "last_seen_at", "polls", "phase", "status"),
        *("metadata", "created_at", "anomalies", "gap", "watch", "digest"),
    )
)
"""An item of a group's history without anything in it: what does not belong to its kind stays null."""


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
    """One entry of a group's history."""
    content = item.content
    said = _said(item.at, content) if isinstance(content, StatusItem) else {}
    return {
        **_NO_ITEM,
        **{name: value for name, value in said.items() if name in _NO_ITEM},
        "seq": item.seq,
        "kind": item.kind.value,
        "at": format_time(item.at),
        "gap": gap_members(content) if isinstance(content, Gap) else None,
        "watch": watch_members(content) if isinstance(content, WatchChange) else None,
        "digest": item.digest,
    }


def open_gap_body(gap: Gap) -> dict[str, Any]:
    """A gap that no entry holds yet, as an item of a group's history."""
    return {**_NO_ITEM, "kind": "gap", "gap": gap_members(gap)}


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
    if item is None or not isinstance(item.content, StatusItem):
        return {**_NEVER_SEEN, "seq": None, "digest": None}
    return {**_said(item.at, item.content), "seq": item.seq, "digest": item.digest}


def _said(at: datetime, content: StatusItem) -> dict[str, Any]:
    return {
        "phase": content.reading.phase.value,
        "created_at": _time(content.reading.created_at),
        "metadata": content.value.get("metadata"),
        "status": content.value["status"],
        "observed_at": format_time(at),
        "last_seen_at": format_time(content.interval.last_seen_at),
        "polls": content.interval.polls,
        "anomalies": [anomaly.value for anomaly in content.anomalies],
    }


def _fraction(finished: int | None, total: int | None) -> float | None:
    if finished is None or total is None or total <= 0:
        return None
    try:
        return finished / total
    except OverflowError:
        return None


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
