"""A summary of what the demo recorded, read from its API, and of how long the work took."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.table import Table

from recorder.cli.common import opened_database
from recorder.cli.demo.stage import Stage
from recorder.cli.output.cohort_table import find_cohorts, print_cohorts
from recorder.cli.output.console import column_table
from recorder.cli.output.format import duration_text
from recorder.queries.completion import CompletionQuery
from recorder.store.transactions import reading


@dataclass(slots=True)
class _Line:
    """Totals over the groups of one kind."""

    phases: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    total: int = 0
    entries: int = 0
    gaps: int = 0
    episodes: int = 0
    unfinished: int = 0
    took: list[float] = field(default_factory=list)


def print_summary(console: Console, stage: Stage) -> None:
    """Read every group from the API, and print totals for each kind of group."""
    lines: dict[str, _Line] = {}
    with httpx.Client(base_url=stage.api_url, timeout=30) as http:
        for group in _all(http, "/api/v1/groups?limit=100"):
            metadata = group["metadata"] or {}
            kind = str(metadata.get("kind") or metadata.get("processor", "not seen"))
            _add(lines.setdefault(kind, _Line()), http, group)
    console.print("What was recorded, read from the API:\n")
    console.print(_table(lines))
    total = {name: sum(getattr(line, name) for line in lines.values()) for name in ("entries", "gaps")}
    groups = sum(line.phases.total() for line in lines.values())
    console.print(f"{groups} groups, {total['entries']} entries, {total['gaps']} gaps recorded.")
    console.print("finished: stretches of work that have ended, of all; took: from their start to their end")
    _print_durations(console, stage)
    console.print("The database is kept; to look at it:")
    console.print(f"  RECORDER_DATABASE_URL={stage.database_url} {_program()} groups", soft_wrap=True)


def _program() -> str:
    """Return what starts this program in the user's shell, whose path may not lead to it."""
    started_as = Path(sys.argv[0])
    found = shutil.which("recorder")
    if started_as.name != "recorder" or (found is not None and Path(found).samefile(started_as)):
        return "recorder"
    return shlex.quote(str(started_as))


def _print_durations(console: Console, stage: Stage) -> None:
    """Print how long the work took, by the processor in the groups' metadata."""
    query = CompletionQuery.parse({"group_by": "metadata.processor"})
    with opened_database(stage.database_url, read_only=True) as engine, reading(engine) as connection:
        found = find_cohorts(connection, query)
    console.print("\nHow long the work took:\n")
    print_cohorts(console, found)
    console.print()


def _add(line: _Line, http: httpx.Client, group: dict[str, Any]) -> None:
    path = f"/api/v1/groups/{quote(group['taskgroup_id'], safe='')}"
    entries = _all(http, f"{path}/history?limit=1000")
    episodes = http.get(f"{path}/completion").raise_for_status().json()["episodes"]
    line.phases[group["phase"] or "not seen"] += 1
    line.finished += group["progress"]["finished"] or 0
    line.total += group["progress"]["total"] or 0
    line.entries += len(entries)
    line.gaps += sum(entry["kind"] == "gap" for entry in entries)
    line.episodes += len(episodes)
    line.unfinished += sum(episode["censored"] for episode in episodes)
    line.took += [episode["duration_seconds"] for episode in episodes if not episode["censored"]]


def _table(lines: dict[str, _Line]) -> Table:
    table = column_table()
    table.add_column("groups", no_wrap=True)
    table.add_column("phases", min_width=9)
    for heading in ("runs", "entries", "gaps", "finished", "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    for kind, line in lines.items():
        table.add_row(
            kind,
            ", ".join(f"{count} {phase}" for phase, count in line.phases.most_common()),
            f"{line.finished}/{line.total}",
            str(line.entries),
            str(line.gaps),
            f"{line.episodes - line.unfinished}/{line.episodes}",
            _span(line.took),
        )
    return table


def _span(seconds: list[float]) -> str:
    if not seconds:
        return ""
    shortest, longest = duration_text(min(seconds)), duration_text(max(seconds))
    return shortest if shortest == longest else f"{shortest} – {longest}"


def _all(http: httpx.Client, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    following: str | None = path
    while following:
        response = http.get(following).raise_for_status()
        page = response.json()
        items += page["items"]
        following = page["next"] and str(response.url.join(page["next"]))
    return items
