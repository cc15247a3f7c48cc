"""Expected results of views and readers, computed entry by entry from a ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from recorder.completion.episodes import episodes_of
from recorder.completion.time_bounds import Moment
from recorder.ledger.entries import NOTHING_EXPECTED, Entry, Gap, Interval, StatusContent, WatchChange
from recorder.ledger.status_fields import STATUS_COLUMNS
from recorder.ledger.watch import Watch
from recorder.store.history import HistoryFilter
from tests.support.chain_oracle import text_of

READING = (
    *("num_task_runs", "queued", "action_required", "running", "completed", "failed", "cancelling"),
    *("cancelled", "is_active", "status_message", "modified_at", "created_at"),
)


def assert_views_agree(connection: Connection, entries: Sequence[Entry], watch: Watch) -> None:
    taskgroup_id = watch.taskgroup_id
    statuses = status_history(entries, watch.open)
    assert view(connection, "status_history", taskgroup_id) == statuses
    assert view(connection, "observation_gaps", taskgroup_id) == _gaps(entries)
    (latest,) = view(connection, "latest_status", taskgroup_id, order="taskgroup_id")
    newest = statuses[-1] if statuses else dict.fromkeys(latest)
    assert_completion_agrees(connection, entries, watch)
    assert latest == {
        **newest,
        "taskgroup_id": taskgroup_id,
        "state": str(watch.state),
        "due_at": plain(watch.due_at),
        **_expected(entries),
    }


def _expected(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what the newest entry says that says something about it."""
    said = [entry.content.expect for entry in entries if isinstance(entry.content, WatchChange)]
    newest = next((expect for expect in reversed(said) if expect is not None), NOTHING_EXPECTED)
    return {"expected_runs": newest.runs, "expected_by": plain(newest.by)}


def assert_completion_agrees(connection: Connection, entries: Sequence[Entry], watch: Watch) -> None:
    rows = view(connection, "group_completion", watch.taskgroup_id, "episode")
    assert rows == _completion(entries, watch)
    rows = view(connection, "group_milestones", watch.taskgroup_id, "episode, fraction")
    assert rows == _milestones(entries, watch)


def view(connection: Connection, name: str, taskgroup_id: str, order: str = "seq") -> list[dict[str, Any]]:
    """Return a group's rows of a view as plain values that are the same on both databases."""
    question = text(f"SELECT * FROM {name} WHERE taskgroup_id = :id ORDER BY {order}")
    rows = connection.execute(question, {"id": taskgroup_id}).mappings()
    as_json = {"metadata", "anomalies"} if connection.dialect.name == "sqlite" else set()
    return [
        {
            column: json.loads(value) if column in as_json and value is not None else plain(value)
            for column, value in row.items()
        }
        for row in rows
    ]


def status_history(entries: Sequence[Entry], opened: Interval | None) -> list[dict[str, Any]]:
    """Return the status entries with their intervals, which end in the next entry or in the watch."""
    ends = [*(entry.previous for entry in entries[1:]), opened]
    return [
        _status(entry, entry.content, end)
        for entry, end in zip(entries, ends, strict=True)
        if isinstance(entry.content, StatusContent)
    ]


def _status(entry: Entry, status: StatusContent, end: Interval | None) -> dict[str, Any]:
    assert end is not None
    fields = status.fields
    columns = dict(zip(STATUS_COLUMNS, fields.columns(), strict=True))
    return {
        "taskgroup_id": entry.taskgroup_id,
        "seq": entry.seq,
        "observed_at": text_of(entry.at),
        "last_seen_at": text_of(end.last_seen_at),
        "polls": end.polls,
        "phase": str(fields.phase),
        **{name: plain(columns[name]) for name in READING},
        "metadata": status.body.value.get("metadata"),
        "anomalies": [str(anomaly) for anomaly in status.anomalies],
        "digest": entry.digest,
    }


def _gaps(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [
        {
            "taskgroup_id": entry.taskgroup_id,
            "seq": entry.seq,
            "gap_from": text_of(entry.content.from_),
            "gap_to": text_of(entry.at),
            "duration_seconds": (entry.at - entry.content.from_).total_seconds(),
            "cause": str(entry.content.cause),
            "attempts": entry.content.attempts,
            "unpolled_seconds": entry.content.unpolled_seconds,
            "http_status": entry.content.http_status,
            "detail": entry.content.detail,
        }
        for entry in entries
        if isinstance(entry.content, Gap)
    ]


def _completion(entries: Sequence[Entry], watch: Watch) -> list[dict[str, Any]]:
    """Return the rows of the episodes that the pure function finds in the complete ledger."""
    return [
        {
            "taskgroup_id": watch.taskgroup_id,
            "episode": episode.number,
            **_bounds("started", episode.started),
            **_bounds("completed", episode.completed),
            "duration_seconds": episode.duration_seconds,
            "duration_earliest_seconds": episode.duration_earliest_seconds,
            "duration_latest_seconds": episode.duration_latest_seconds,
            "censored": episode.censored,
            "first_sight": episode.first_sight,
            "outcome": episode.outcome and str(episode.outcome),
            **{f"runs_{name}": count for name, count in asdict(episode.runs).items()},
            "gap_seconds": episode.gap_seconds,
            "polls": episode.polls,
        }
        for episode in episodes_of(entries, watch.open)
    ]


def _milestones(entries: Sequence[Entry], watch: Watch) -> list[dict[str, Any]]:
    """Return the rows of the milestones that the pure function finds in the complete ledger."""
    unknown = dict.fromkeys(("at", "earliest", "latest", "basis"))
    unlasting = dict.fromkeys(("seconds", "seconds_earliest", "seconds_latest"))
    return [
        {
            "taskgroup_id": watch.taskgroup_id,
            "episode": episode.number,
            "fraction": milestone.fraction,
            "runs": milestone.runs,
            **({name: plain(value) for name, value in asdict(moment).items()} if moment else unknown),
            **(dict(zip(unlasting, astuple(elapsed), strict=True)) if elapsed else unlasting),
        }
        for episode in episodes_of(entries, watch.open)
        for milestone in episode.milestones or ()
        for moment, elapsed in [(milestone.reached, milestone.elapsed)]
    ]


def _bounds(name: str, moment: Moment | None) -> dict[str, Any]:
    return {
        f"{name}_at": moment and plain(moment.at),
        f"{name}_earliest": moment and plain(moment.earliest),
        f"{name}_latest": moment and plain(moment.latest),
    }


def history(entries: Sequence[Entry], query: HistoryFilter) -> list[int]:
    """Return the numbers of the entries that match a query, in its order."""
    starts = [entry.content.from_ if isinstance(entry.content, Gap) else entry.at for entry in entries]
    ends = [*starts[1:], None]
    found = [
        entry.seq
        for entry, start, end in zip(entries, starts, ends, strict=True)
        if (query.kinds is None or entry.kind in query.kinds) and _meets(query, start, end)
    ]
    if query.descending:
        found.reverse()
    if query.after_seq is None:
        return found
    return [seq for seq in found if (seq < query.after_seq) == query.descending and seq != query.after_seq]


def _meets(query: HistoryFilter, start: datetime, end: datetime | None) -> bool:
    """Whether an entry, which lasts until the next one starts, overlaps the query's window."""
    if query.until is not None and start >= query.until:
        return False
    return query.since is None or start >= query.since or end is None or end > query.since


def statuses_before(entries: Sequence[Entry]) -> dict[int, int]:
    """Map each entry to the number of the newest status entry before it, if there is one."""
    newest, found = 0, {}
    for entry in entries:
        if newest:
            found[entry.seq] = newest
        newest = entry.seq if isinstance(entry.content, StatusContent) else newest
    return found


def plain(value: Any) -> Any:
    return text_of(value.astimezone(UTC)) if isinstance(value, datetime) else value
