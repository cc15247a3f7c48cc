"""`recorder status`: the latest status of a group."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from api.answers import group_answer, status_answer
from recorder.cli.answers import answer, console, json_option, plain, print_json
from recorder.cli.common import with_words
from recorder.cli.tables import counts_text, phase_text, runs_text, time_text
from recorder.clock import utc_now
from recorder.ledger.times import format_time


@click.command("status")
@click.argument("taskgroup_id", metavar="ID")
@json_option
@with_words
def command(taskgroup_id: str, as_json: bool) -> None:
    """Print the latest status of a group."""
    if as_json:
        print_json(answer(lambda connection, _: status_answer(connection, taskgroup_id)))
    else:
        console().print(_table(answer(lambda connection, now: group_answer(connection, taskgroup_id, now))))


def _table(group: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, value in _lines(group).items():
        table.add_row(label, value)
    return table


def _lines(group: dict[str, Any]) -> dict[str, str | Text]:
    lines: dict[str, str | Text] = {
        "group": plain(group["taskgroup_id"]),
        "watch": group["state"],
        "phase": phase_text(group["phase"]),
    }
    if group["status"] is not None:
        lines |= {
            "runs": f"{runs_text(group['progress'])} finished",
            "counts": plain(counts_text(group["status"])),
            "message": plain(group["status"].get("status_message") or ""),
            "metadata": plain(json.dumps(group["metadata"], ensure_ascii=False)),
            "created": time_text(group["created_at"]),
            "said from": f"{time_text(group['observed_at'])} (entry {group['seq']})",
            "said until": f"{time_text(group['last_seen_at'])} (polls: {group['polls']})",
            "anomalies": ", ".join(group["anomalies"]),
        }
    if group["due_at"] is not None:
        late = group["due_at"] < format_time(utc_now())
        pace = f", every {group['interval_seconds']:g} s" if group["interval_seconds"] and not late else ""
        lines["due since" if late else "next poll due"] = f"{time_text(group['due_at'])}{pace}"
    gap = group["open_gap"]
    if gap is not None:
        words = f"since {time_text(gap['from'])}: {gap['cause']}, {gap['attempts']} failed polls"
        lines["not seen"] = Text(words, style="red")
    return {label: value for label, value in lines.items() if str(value)}
