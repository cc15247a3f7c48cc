"""`recorder status`: the latest status of a group."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, cast

import click
from rich.text import Text
from sqlalchemy import Connection

from recorder.cli.common import report_errors
from recorder.cli.output.console import answer, console, field_table, json_option, plain, print_json, query_of
from recorder.cli.output.follow import follow_entries
from recorder.cli.output.format import (
    cause_text,
    count_text,
    counts_text,
    lasted_text,
    phase_of_group,
    runs_text,
    show_time,
    state_text,
)
from recorder.cli.output.sparkline import UNSEEN, sparkline
from recorder.cli.output.status_at import print_status_at
from recorder.clock import utc_now
from recorder.ledger.entries import WatchChange
from recorder.ledger.timestamps import format_time, parse_time
from recorder.ledger.watch import WatchState
from recorder.queries.as_of import StatusQuery
from recorder.queries.change_text import expectation_text, watch_text
from recorder.queries.groups import group_answer, require_group, status_body
from recorder.settings_loading import load_settings
from recorder.store.history import Item, newest_changes
from recorder.store.traces import TracePoint, read_traces

_POLLED = {
    WatchState.PAUSED: ", not polled",
    WatchState.STOPPED: ", not polled",
    WatchState.GONE: ", polled occasionally",
    WatchState.RETIRED: ", not polled",
}


@click.command("status")
@click.argument("taskgroup_id", metavar="ID")
@click.option("--at", metavar="TIME", help="Show what is known about its status at this moment in the past.")
@click.option("--follow", is_flag=True, help="Then print each new entry on a line, until the group is done.")
@json_option
@report_errors
def command(taskgroup_id: str, at: str | None, follow: bool, as_json: bool) -> None:
    """Show the latest status of a group, or what is known about it at a moment in the past."""
    moment = query_of(StatusQuery, {"at": at}).at
    if moment is not None:
        if follow:
            raise click.UsageError("--follow starts from now and cannot be used with --at")
        print_status_at(taskgroup_id, moment, as_json=as_json)
        return
    seen = _print_json(taskgroup_id) if as_json else _print(taskgroup_id)
    if follow:
        follow_entries(taskgroup_id, seen, as_json=as_json)


def _print_json(taskgroup_id: str) -> int:
    """Print the latest status; return the number of the newest entry at that time."""
    found = answer(lambda connection, _: {"group": require_group(connection, taskgroup_id)})
    print_json(status_body(found["group"]))
    return int(found["group"].watch.head.seq)


def _print(taskgroup_id: str) -> int:
    """Print the state of a group; return the number of the newest entry at that time."""
    cohort_key = load_settings(needed=()).cohort_key

    def question(connection: Connection, now: datetime) -> dict[str, Any]:
        group = require_group(connection, taskgroup_id)
        return {
            "group": group_answer(connection, group, now, cohort_key),
            "changes": newest_changes(connection, taskgroup_id, 2),
            "trace": read_traces(connection, [taskgroup_id]).get(taskgroup_id, []),
            "seq": group.watch.head.seq,
        }

    found = answer(question)
    fields = _fields(found["group"], found["changes"], utc_now()) | _trend(found["group"], found["trace"])
    console().print(field_table(fields))
    return int(found["seq"])


def _fields(group: dict[str, Any], changes: list[Item], now: datetime) -> dict[str, str | Text]:
    fields: dict[str, str | Text] = {
        "group": plain(group["taskgroup_id"]),
        "watch": state_text(group["state"]).append(_POLLED.get(WatchState(group["state"]), "")),
        "since": plain(f"{show_time(format_time(changes[0].at))}: {_change_text(changes)}"),
        "phase": _phase_text(group),
        "expected": _expected_text(group),
    }
    if group["status"] is not None:
        fields |= {
            "runs": f"{runs_text(group['progress'])} finished",
            "counts": plain(counts_text(group["status"])),
            "message": plain(group["status"].get("status_message") or ""),
            "metadata": plain(json.dumps(group["metadata"], ensure_ascii=False)),
            "created": show_time(group["created_at"]),
            "reported from": f"{show_time(group['observed_at'])} (entry {group['seq']})",
            "reported until": f"{show_time(group['last_seen_at'])} (polls: {group['polls']})",
            "anomalies": ", ".join(group["anomalies"]),
        }
    if group["due_at"] is not None:
        late = group["due_at"] < format_time(now)
        pace = f", every {group['interval_seconds']:g} s" if group["interval_seconds"] and not late else ""
        fields["due since" if late else "next poll due"] = f"{show_time(group['due_at'])}{pace}"
    gap = group["open_gap"]
    if gap is not None:
        fields["not seen"] = _gap_text(gap, now)
    return {label: value for label, value in fields.items() if str(value)}


def _trend(group: dict[str, Any], trace: list[TracePoint]) -> dict[str, str]:
    """Return how the number of finished runs has grown until the group was last seen, as a picture."""
    until = group["last_seen_at"]
    line = "" if until is None else sparkline(trace, parse_time(until))
    legend = f"  ({UNSEEN} not observed)" if UNSEEN in line else ""
    return {"finished over time": f"{line}{legend}"} if line else {}


def _phase_text(group: dict[str, Any]) -> Text:
    words, watching = phase_of_group(group), group["state"] == WatchState.WATCHING
    return words if watching or group["phase"] is None else words.append(", when last seen", style="dim")


def _expected_text(group: dict[str, Any]) -> str:
    """Return what is expected of the group, and how many of the runs are missing."""
    expected = group["expected"]
    if expected is None:
        return ""
    words = expectation_text(expected)
    if group["arrived"] is None:
        return words
    missing = max(0, expected["runs"] - group["progress"]["total"])
    return f"{words}; {f'{missing:,} not added yet' if missing else 'all added'}"


def _change_text(changes: list[Item]) -> str:
    """Describe the newest change to the watch, given the newest two."""
    newest, *before = (cast(WatchChange, item.content) for item in changes)
    return watch_text(newest, before[0] if before else None)


def _gap_text(gap: dict[str, Any], now: datetime) -> Text:
    words = Text(f"since {show_time(gap['from'])}, {lasted_text(gap, now)}: ").append_text(cause_text(gap))
    words.append(f", {count_text(gap['attempts'], 'failed poll')}", style="red")
    return words.append_text(plain(f": {gap['detail']}")) if gap["detail"] else words
