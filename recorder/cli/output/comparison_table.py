"""Show how the durations of two sets of episodes differ."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recorder.cli.output.console import plain
from recorder.cli.output.format import duration_text, show_time
from recorder.ledger.timestamps import format_time
from recorder.queries.comparison import StatisticsQuery

_QUANTILES = ("p50", "p90", "p95", "p99")
_LIKELY = 0.05


def print_comparison(out: Console, query: StatisticsQuery, body: dict[str, Any]) -> None:
    """Print a line for each side, the differences of their quantiles, and what the log-rank test says."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("")
    table.add_column("completed", justify="right", no_wrap=True)
    table.add_column("still\nopen", justify="right", no_wrap=True)
    for name in _QUANTILES:
        table.add_column(name, justify="right")
    for side, item in zip(_sides(query), body["items"], strict=True):
        quantiles = [_duration(item[quantile]["seconds"]) for quantile in _QUANTILES]
        completed = f"{item['completed']} of {item['episodes']}"
        table.add_row(side, completed, str(item["censored"]), *quantiles)
    differences = body["comparison"]["differences"]
    table.add_section()
    table.add_row("difference", "", "", *(_signed(differences[name]["seconds"]) for name in _QUANTILES))
    intervals = (_interval(differences[name]["ci95"]) for name in _QUANTILES)
    table.add_row(Text("95 % interval", style="dim"), "", "", *intervals)
    out.print(table)
    out.print(_verdict(body["comparison"]["log_rank"]))
    if body["as_of"] is not None:
        out.print(f"as of {show_time(body['as_of'])} UTC")


def _sides(query: StatisticsQuery) -> tuple[Text, Text]:
    if query.compared_key is not None:
        return plain(query.value or '""'), plain(query.than_value or '""')
    return _stretch(query.from_, query.to), _stretch(query.than_from, query.than_to)


def _stretch(start: datetime | None, end: datetime | None) -> Text:
    named = {"from": start, "to": end}
    lines = [f"{name} {show_time(format_time(time))}" for name, time in named.items() if time is not None]
    return Text("\n".join(lines) or "all")


def _duration(seconds: float | None) -> Text:
    return Text("not reached", style="dim") if seconds is None else Text(duration_text(seconds))


def _signed(seconds: float | None) -> Text:
    if seconds is None:
        return Text("unknown", style="dim")
    return Text(("-" if seconds < 0 else "+") + duration_text(abs(seconds)), style="cyan")


def _interval(ends: list[float | None]) -> Text:
    if ends == [None, None]:
        return Text("unknown", style="dim")
    low, high = ("…" if end is None else _signed(end).plain for end in ends)
    return Text(f"{low} to {high}", style="dim")


def _verdict(test: dict[str, float] | None) -> str:
    if test is None:
        return "no test: no episode of either side ended while one of the other was still running"
    p_value = test["p_value"]
    shown = f"= {p_value:.2g}" if p_value >= 0.001 else "< 0.001"
    if p_value < _LIKELY:
        return f"the two differ: chance alone makes such a difference rarely (log-rank test, p {shown})"
    return f"chance alone can explain the difference (log-rank test, p {shown})"
