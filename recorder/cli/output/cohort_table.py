"""Show how long the episodes of cohorts lasted, with a plot of each survival curve."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from recorder.cli.output.console import plain
from recorder.cli.output.format import duration_text, show_time
from recorder.cli.output.survival_plot import Steps, axis_end, picture, strip, time_axis
from recorder.completion.labels import scalar_of
from recorder.completion.statistics import curve_items, statistics_of
from recorder.ledger.timestamps import format_time
from recorder.queries.completion import CompletionQuery, selection_of
from recorder.store.durations import durations_of

_STYLE = "cyan"
_NARROW = 110
_LEAST_STRIP, _WIDEST_STRIP = 20, 60
_LEAST_PICTURE, _WIDEST_PICTURE = 30, 100
_PICTURE_LINES = 8
_LONGEST_VALUE = 80
_NAME_WIDTH = 10
_LOOKS_LIKE_JSON = re.compile(r'\s*|".*|true|false|-?\d[\d.eE+-]*', re.DOTALL)


@dataclass(frozen=True, slots=True)
class CohortLine:
    """A cohort: its groups' common value as JSON text (None if they have none), its statistics and curve."""

    value: str | None
    statistics: dict[str, Any]
    steps: Steps


@dataclass(frozen=True, slots=True)
class Cohorts:
    """The result of a query; `as_of` is the time of the newest response in it."""

    query: CompletionQuery
    as_of: str | None
    lines: list[CohortLine]

    def count(self, name: str) -> int:
        """Return the sum of a count over all cohorts."""
        return sum(line.statistics[name] for line in self.lines)


def find_cohorts(connection: Connection, query: CompletionQuery) -> Cohorts:
    """Read the episodes that a query selects, and compute their statistics.

    Raises:
        TooManyCohortsError: the key to group by has too many values.
    """
    selected = durations_of(connection, replace(selection_of(query), group_by=query.group_by))
    lines = [
        CohortLine(cohort.value, statistics_of(cohort.durations), curve_items(cohort.durations))
        for cohort in selected.cohorts
    ]
    as_of = None if selected.as_of is None else format_time(selected.as_of)
    return Cohorts(query, as_of, lines)


def print_cohorts(out: Console, found: Cohorts) -> None:
    """Print a line for each cohort, the curves, and notes on the figures."""
    nothing = _nothing_text(found)
    if nothing is not None:
        out.print(nothing)
        return
    until = axis_end(line.steps for line in found.lines)
    narrow = out.width < _NARROW
    room = min(out.width - out.measure(_table(found, narrow=narrow)).maximum - 2, _WIDEST_STRIP)
    beside = len(found.lines) > 1 and room >= _LEAST_STRIP
    out.print(_table(found, narrow=narrow, strips=_strips(found, until, room) if beside else None))
    if len(found.lines) == 1:
        width = max(_LEAST_PICTURE, min(out.width, _WIDEST_PICTURE))
        out.print(_tall_picture(found.lines[0].steps, until, width))
    elif not beside:
        out.print(_strips_below(found, until, out.width))
    out.print("\n".join(_footing(found)))


def _nothing_text(found: Cohorts) -> Text | None:
    """Return why there is nothing to show, None if there is something."""
    query = found.query
    if not found.count("episodes"):
        if query.model_fields_set - {"group_by"}:
            return Text("no such episodes")
        return Text("no episodes yet; watch a group with: recorder watch ID")
    if query.group_by is not None and all(line.value is None for line in found.lines):
        which = "no such group has" if query.model_fields_set - {"group_by"} else "no group has"
        return Text(f"{which} ").append_text(_cut(query.group_by)).append(" in its metadata")
    return None


def _table(found: Cohorts, *, narrow: bool, strips: list[Text] | None = None) -> Table:
    """Return the table of figures; `strips` are a heading and one curve per cohort, for a last column."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 0 if narrow else 1, 0, 0))
    key = found.query.group_by
    names = [] if key is None else [_key(line.value, key) for line in found.lines]
    if key is not None:
        heading = _cut(key)
        longest = max(name.cell_len for name in (heading, *names))
        table.add_column(heading, overflow="fold", min_width=min(_NAME_WIDTH, longest))
    table.add_column("completed", justify="right", no_wrap=True)
    table.add_column("still\nopen", justify="right", no_wrap=True)
    table.add_column("p50", justify="right", no_wrap=True)
    if not narrow:
        table.add_column("95 % interval\nof p50", no_wrap=True)
    for name in ("p90", "p95", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    if strips is not None:
        table.add_column(strips[0], no_wrap=True)
    for number, line in enumerate(found.lines):
        curve = [] if strips is None else [strips[number + 1]]
        table.add_row(*names[number : number + 1], *_figures(line.statistics, narrow), *curve)
    return table


def _figures(statistics: dict[str, Any], narrow: bool) -> list[str | Text]:
    p50, *others = (_quantile(statistics[name]) for name in ("p50", "p90", "p95", "p99"))
    interval = Text(_interval_text(statistics["p50"]["ci95"], narrow), style="dim")
    middle = [p50.append("\n").append_text(interval)] if narrow and interval else [p50]
    open_ones = statistics["censored"]
    return [
        f"{statistics['completed']} of {statistics['episodes']}",
        Text(str(open_ones), style=_STYLE if open_ones else "dim"),
        *middle,
        *([] if narrow else [interval]),
        *others,
    ]


def _quantile(quantile: dict[str, Any]) -> Text:
    seconds = quantile["seconds"]
    return Text("not reached", style="dim") if seconds is None else Text(duration_text(seconds))


def _interval_text(ends: list[float | None], narrow: bool) -> str:
    low, high = (None if end is None else duration_text(end) for end in ends)
    if low is None:
        return ""
    between = "\n" if narrow else " "
    return f"{low}{between}or more" if high is None else f"{low} –{between}{high}"


def _strips(found: Cohorts, until: float, width: int) -> list[Text]:
    """Return the time axis as a heading, then the curves on it."""
    heading = Text(f"still open after\n{time_axis(until, width)}")
    return [heading, *(Text(strip(line.steps, until, width), style=_STYLE) for line in found.lines)]


def _strips_below(found: Cohorts, until: float, room: int) -> Table:
    """Return the curves in a table below the figures."""
    names = [_key(line.value, found.query.group_by or "") for line in found.lines]
    name_width = min(max(name.cell_len for name in names), max(_NAME_WIDTH, room // 4))
    width = max(_LEAST_STRIP, min(room - name_width - 1, _WIDEST_PICTURE))
    heading, *curves = _strips(found, until, width)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
    table.add_column(overflow="fold", width=name_width)
    table.add_column(heading, no_wrap=True)
    for name, curve in zip(names, curves, strict=True):
        table.add_row(name, curve)
    return table


def _tall_picture(steps: Steps, until: float, width: int) -> Text:
    lines = picture(steps, until, width, _PICTURE_LINES)
    return Text("\n").join([Text("\nshare still open after"), *(Text(line) for line in lines)])


def _footing(found: Cohorts) -> list[str]:
    """Return notes on the figures."""
    episodes, still_open = found.count("episodes"), found.count("censored")
    lines = [f"as of {show_time(found.as_of)} UTC, over {episodes} episode{'' if episodes == 1 else 's'}"]
    if still_open:
        are = "is" if still_open == 1 else "are"
        lines[0] += f": {still_open} {are} still open, and counted as lasting longer than so far"
    quantiles = ("p50", "p90", "p95", "p99")
    if any(line.statistics[name]["seconds"] is None for line in found.lines for name in quantiles):
        lines.append("not reached: too few episodes have ended yet")
    if found.query.since is not None:
        lines.append(
            "measured from the creation of the groups, first episodes only; groups with an unknown creation "
            "time are left out"
        )
    return lines


def _key(value: str | None, key: str) -> Text:
    """Return a cohort's value; a string that looks like another JSON value is quoted."""
    if value is None:
        return Text("no ", style="dim").append_text(_cut(key))
    scalar = scalar_of(value)
    if not isinstance(scalar, str):
        return _cut(value)
    return _cut(value if _LOOKS_LIKE_JSON.fullmatch(scalar) else scalar)


def _cut(text: str) -> Text:
    return plain(text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…")
