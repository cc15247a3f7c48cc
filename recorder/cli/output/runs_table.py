"""What the provider claimed about a group's runs, as text."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from recorder.cli.output.console import column_table, console, plain
from recorder.cli.output.format import duration_text, show_time

_FINDINGS = {
    "times_reversed": "by the provider's own times, {runs} changed before being created",
    "in_the_future": "{runs} changed after the snapshot, up to {seconds} later",
    "runs_missing": "the snapshot lacks {runs} that the group had",
    "too_late": "entry {seq}: {runs} had finished that the provider says finished later",
    "too_early": "entry {seq}: {runs} had not finished that the provider says finished earlier",
}


def print_runs(body: dict[str, Any]) -> None:
    """Print what a group's newest snapshot says; it must have one."""
    snapshot = body["snapshot"]
    counts = ", ".join(f"{count} {plain(status)}" for status, count in body["statuses"].items())
    runs = count_of_runs(snapshot["runs"]) + (f" ({counts})" if counts else "")
    click.echo(
        f"{runs} by the provider's own account of "
        f"{show_time(snapshot['taken_at'])}; entry {snapshot['seq']} has its digest"
    )
    if body["processors"]:
        console().print(_processors(body["processors"]))
    reached = [one for one in body["milestones"] if one["claimed_at"] is not None]
    if reached:
        console().print(_milestones(reached))
    for finding in body["findings"]:
        click.echo(f"finding: {finding_text(finding)}")


def count_of_runs(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"


def finding_text(finding: dict[str, Any]) -> str:
    """Return a finding as words."""
    seconds = finding["seconds"]
    shown = "" if seconds is None else duration_text(seconds)
    words = _FINDINGS[finding["problem"]].format(
        runs=count_of_runs(finding["runs"]), seq=finding["seq"], seconds=shown
    )
    return f"{words}, by {shown}" if shown and finding["seq"] is not None else words


def _processors(items: list[dict[str, Any]]) -> Table:
    table = column_table()
    table.add_column("processor")
    for heading in ("runs", "finished", "half took", "90 %", "longest", "half waited"):
        table.add_column(heading, justify="right", no_wrap=True)
    for item in items:
        durations = item["durations"]
        table.add_row(
            "–" if item["processor"] is None else plain(item["processor"]),
            str(item["runs"]),
            str(item["finished"]),
            _seconds(durations["p50"]["seconds"]),
            _seconds(durations["p90"]["seconds"]),
            _seconds(durations["max_seconds"]),
            _seconds(item["waits"]["p50"]["seconds"]),
        )
    return table


def _milestones(items: list[dict[str, Any]]) -> Table:
    table = column_table()
    for heading in ("finished", "runs"):
        table.add_column(heading, justify="right")
    table.add_column("claimed (UTC)", no_wrap=True)
    for item in items:
        table.add_row(f"{item['fraction'] * 100:g} %", str(item["runs"]), show_time(item["claimed_at"]))
    return table


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else duration_text(seconds)
