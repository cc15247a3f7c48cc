"""Show when certain shares of an episode's runs had finished, as bars along its duration."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from recorder.cli.output.format import count_text, duration_text, until_text
from recorder.cli.output.survival_plot import bar

_SHORTEST_BAR, _WIDEST_BAR = 15, 40
_HEADINGS = ("finished", "at (UTC)", "within", "after")
_LAST, _FIRST = 0.99, 0.9


def milestone_picture(episode: dict[str, Any], width: int) -> Table | None:
    """Return a line for each milestone of an episode of the API, at most `width` wide.

    None if its milestones, or the number of its runs, are unknown. Narrow lines have no bounds.
    """
    milestones = episode["milestones"]
    if not milestones or not milestones[-1]["runs"]:
        return None
    columns = [[heading] for heading in _HEADINGS]
    for each in milestones:
        for column, cell in zip(columns, _cells(each, episode["started"]["at"]), strict=True):
            column.append(cell)
    if _room_beside(columns, width) < _SHORTEST_BAR:
        del columns[_HEADINGS.index("within")]
    longest = max(episode["duration_seconds"], *(each["seconds"] or 0 for each in milestones))
    room = max(1, min(_WIDEST_BAR, _room_beside(columns, width)))
    bars = [bar(each["seconds"] / longest, room) if each["seconds"] else "" for each in milestones]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading, *_ in columns:
        right = heading in {"finished", "after"}
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    table.add_column(no_wrap=True)
    for *cells, line in zip(*(column[1:] for column in columns), bars, strict=True):
        table.add_row(*cells, Text(line, "green"))
    return table


def _cells(milestone: dict[str, Any], since: str) -> tuple[str, str, str, str]:
    share = f"{milestone['fraction'] * 100:.0f} %"
    if milestone["at"] is None:
        return share, f"not yet: {count_text(milestone['runs'], 'run')}", "", ""
    at = until_text(milestone["at"], since)
    return share, at, _window(milestone), duration_text(milestone["seconds"])


def _room_beside(columns: list[list[str]], width: int) -> int:
    return width - sum(max(map(len, column)) + 1 for column in columns)


def last_runs_text(episode: dict[str, Any]) -> str | None:
    """Return how long the last 1 % of an episode's runs took, compared with the first 90 %.

    None unless all have finished, and the last ones were seen to finish after the others.
    """
    found = {each["fraction"]: each for each in episode["milestones"] or ()}
    last, first, end = found.get(_LAST), found.get(_FIRST), found.get(1)
    if not (last and first and end) or end["at"] is None or end["latest"] == last["latest"]:
        return None
    took = duration_text(max(0.0, end["seconds"] - last["seconds"]))
    return f"the last 1 % took {took}, the first 90 % {duration_text(first['seconds'])}"


def _window(milestone: dict[str, Any]) -> str:
    at, earliest, latest = milestone["at"], milestone["earliest"], milestone["latest"]
    if earliest is None:
        return f"not after {until_text(latest, at)}"
    return "–".join(dict.fromkeys([until_text(earliest, at), until_text(latest, at)]))
