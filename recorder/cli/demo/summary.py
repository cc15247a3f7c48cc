"""What the demo recorded, as its API tells it."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.table import Table

from recorder.cli.demo.stage import Stage
from recorder.cli.tables import duration_text, phase_text
from recorder.ledger.status import Phase


def print_summary(console: Console, stage: Stage) -> None:
    """Ask the API for every group, and print a line for each kind of group and what it came to."""
    with httpx.Client(base_url=stage.api_url, timeout=30) as http:
        groups = _all(http, "/api/v1/groups?limit=100")
        table = Table(
            title="What was recorded, as the API tells it", header_style="bold", title_justify="left"
        )
        for heading in ("group", "customer", "processor", "phase"):
            table.add_column(heading, no_wrap=True)
        for heading in ("runs", "entries", "gaps", "episodes", "last took"):
            table.add_column(heading, justify="right", no_wrap=True)
        totals: Counter[str] = Counter()
        for group in groups:
            table.add_row(*_row(http, group, totals))
    console.print(table)
    console.print(
        f"{len(groups)} groups, {totals['entries']} entries, {totals['gaps']} gaps, "
        f"{totals['episodes']} episodes, {totals['open']} of them not finished."
    )
    console.print(f"The database is kept: {stage.database}", soft_wrap=True)


def _row(http: httpx.Client, group: dict[str, Any], totals: Counter[str]) -> list[Any]:
    path = f"/api/v1/groups/{quote(group['taskgroup_id'], safe='')}"
    entries = _all(http, f"{path}/history?limit=1000")
    episodes = http.get(f"{path}/completion").raise_for_status().json()["episodes"]
    gaps = sum(entry["kind"] == "gap" for entry in entries)
    totals.update(entries=len(entries), gaps=gaps, episodes=len(episodes))
    totals["open"] += sum(episode["censored"] for episode in episodes)
    metadata = group["metadata"] or {}
    progress = group["progress"]
    return [
        f"{group['taskgroup_id'][:15]}…",
        str(metadata.get("customer", "")),
        str(metadata.get("processor", "")),
        phase_text(Phase(group["phase"]) if group["phase"] else None),
        f"{progress['finished']}/{progress['total']}",
        str(len(entries)),
        str(gaps or ""),
        str(len(episodes)),
        duration_text(episodes[-1]["duration_seconds"], more=episodes[-1]["censored"]) if episodes else "",
    ]


def _all(http: httpx.Client, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    following: str | None = path
    while following:
        page = http.get(following).raise_for_status().json()
        items += page["items"]
        following = page["next"]
    return items
