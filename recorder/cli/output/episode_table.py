"""Show the episodes of a group, when it will be done, and how its time was spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from recorder.cli.output.console import column_table, plain
from recorder.cli.output.format import (
    duration_text,
    phase_of_group,
    phase_text,
    show_time,
    state_text,
    until_text,
)
from recorder.cli.output.milestone_picture import last_runs_text, milestone_picture
from recorder.cli.output.survival_plot import bar
from recorder.completion.episodes import Outcome
from recorder.completion.time_bounds import Basis
from recorder.ledger.status_fields import Phase
from recorder.ledger.timestamps import format_time, parse_time
from recorder.ledger.watch import WatchState

_NARROW, _WIDE = 120, 156
_WIDEST_BAR, _BESIDE_BAR = 40, 62
_OUTCOME_STYLES = {
    Outcome.COMPLETED: "green",
    Outcome.FAILED: "red",
    Outcome.CANCELLED: "yellow",
    Outcome.MIXED: "magenta",
}
_RUN_STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow"}
_BASIS_WORDS = {
    Basis.MODIFIED_AT: "from modified_at",
    Basis.MIDPOINT: "midpoint",
    Basis.CREATED_AT: "from created_at",
    Basis.FIRST_SIGHT: "first sight",
}
_NUMBERS = {"no.", "not seen", "polls"}
_ETA_WORDS = {"pace": "own pace", "cohort": "similar groups"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """The separators after the first part of a cell and between its other parts."""

    first: str
    others: str


_IN_A_LINE = _Layout(", ", ", ")
_IN_TWO_LINES = _Layout("\n", ", ")
_IN_LINES = _Layout("\n", "\n")


def print_completion(out: Console, group: dict[str, Any], body: dict[str, Any]) -> None:
    """Print a group's completion, given the API's bodies of the group and of its completion."""
    out.print(_heading(group))
    if not body["episodes"]:
        out.print("no episodes: no work has been seen yet")
    elif out.width < _NARROW:
        for episode in body["episodes"]:
            out.print(_record(episode, group))
            out.print()
    else:
        out.print(_table(body["episodes"], group, _IN_TWO_LINES if out.width >= _WIDE else _IN_LINES))
        out.print()
    if body["episodes"]:
        _print_milestones(out, body["episodes"][-1])
    if group["phase"] == Phase.ACTIVE:
        out.print(_eta_of_group(group, body["eta"]))
    if any(body["dwell_seconds"].values()):
        out.print()
        out.print(_time_spent(body, out.width))


def _eta_of_group(group: dict[str, Any], eta: dict[str, Any]) -> str:
    """Return the estimate, which is for the runs that have been added, and whether more are expected."""
    if group["arrived"] is not False:
        return eta_text(eta)
    so_far, expected = group["progress"]["total"], group["expected"]["runs"]
    return f"{so_far:,} of {expected:,} runs added so far: {eta_text(eta, 'finished')}"


def eta_text(eta: dict[str, Any], what: str = "done") -> str:
    """Return when a group will be done (or what else), or why there is no estimate."""
    if eta["reason"] is not None:
        return f"no estimate available: {eta['reason']}"
    early, likely, late = eta["p10"], eta["p50"], eta["p90"]
    between = f"between {show_time(early)} and {until_text(late, early)}"
    return f"{what} {between}, likely by {until_text(likely, early)} UTC ({_ETA_WORDS[eta['basis']]})"


def _print_milestones(out: Console, episode: dict[str, Any]) -> None:
    picture = milestone_picture(episode, out.width)
    if picture is None:
        return
    out.print(f"runs of episode {episode['number']}")
    out.print(picture)
    last_runs = last_runs_text(episode)
    if last_runs is not None:
        out.print(last_runs)
    out.print()


def _heading(group: dict[str, Any]) -> Text:
    words = plain(group["taskgroup_id"])
    words.stylize("bold")
    words.append(": ").append_text(phase_of_group(group))
    if group["state"] != WatchState.WATCHING:
        seen = "" if group["phase"] is None else " when last seen"
        words.append(f"{seen}, ").append_text(state_text(group["state"]))
    return words


def _table(episodes: list[dict[str, Any]], group: dict[str, Any], layout: _Layout) -> Table:
    table = column_table()
    rows = [_cells(episode, group, layout) for episode in episodes]
    for heading in rows[0]:
        number = heading in _NUMBERS
        table.add_column(
            heading,
            justify="right" if number else "left",
            no_wrap=number or heading == "lasted",
            overflow="fold",
        )
    for cells in rows:
        table.add_row(*cells.values())
    return table


def _record(episode: dict[str, Any], group: dict[str, Any]) -> Table:
    """Show an episode as a list, for a terminal too narrow for the table."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, value in _cells(episode, group, _IN_A_LINE).items():
        table.add_row(label, value)
    return table


def _cells(episode: dict[str, Any], group: dict[str, Any], layout: _Layout) -> dict[str, str | Text]:
    return {
        "no.": str(episode["number"]),
        "started (UTC)": _joined(_moment_parts(episode["started"], None), layout),
        "completed": _completed(episode, group, layout),
        "lasted": layout.first.join(_lasted_parts(episode, layout)),
        "outcome": _outcome(episode["outcome"]),
        "runs": _runs(episode["runs"], layout),
        "not seen": duration_text(episode["gap_seconds"]),
        "polls": str(episode["polls"]),
    }


def _joined(parts: Sequence[str | Text], layout: _Layout) -> Text:
    first, *others = (Text.assemble(part) for part in parts)
    return Text(layout.first).join([first, Text(layout.others).join(others)])


def _moment_parts(moment: dict[str, Any], since: str | None) -> list[str]:
    """Return the time of a moment, its basis and its bounds."""
    at, earliest, latest = moment["at"], moment["earliest"], moment["latest"]
    parts = [until_text(at, since), _BASIS_WORDS[Basis(moment["basis"])]]
    if earliest is not None:
        bounds = dict.fromkeys([until_text(earliest, at), until_text(latest, at)])
        return [*parts, f"within {'–'.join(bounds)}"]
    unknown = "unknown start, " if since is None else ""
    return [*parts, f"{unknown}not after {until_text(latest, at)}"]


def _completed(episode: dict[str, Any], group: dict[str, Any], layout: _Layout) -> Text:
    started = episode["started"]["at"]
    if episode["completed"] is not None:
        return _joined(_moment_parts(episode["completed"], started), layout)
    seen_at = format_time(parse_time(started) + timedelta(seconds=episode["duration_seconds"]))
    return _joined([*_open_parts(episode, group), f"last seen {until_text(seen_at, started)}"], layout)


def _open_parts(episode: dict[str, Any], group: dict[str, Any]) -> list[str | Text]:
    """Describe an open episode, and the state of its group unless that is active and watched."""
    lasted = f"for at least {duration_text(episode['duration_seconds'])}"
    watched = group["state"] == WatchState.WATCHING
    if watched and group["phase"] == Phase.ACTIVE:
        return [Text(f"running {lasted}", phase_text(Phase.ACTIVE).style)]
    now = phase_text(group["phase"]) if watched else state_text(group["state"])
    return [f"open {lasted}", Text.assemble("now ", now)]


def _lasted_parts(episode: dict[str, Any], layout: _Layout) -> Iterator[str]:
    so_far = " so far" if episode["censored"] else ""
    yield f"{duration_text(episode['duration_seconds'])}{so_far}"
    least, most = episode["duration_earliest_seconds"], episode["duration_latest_seconds"]
    if least is None:
        yield "bounds unknown"
    elif most is None:
        yield f"{duration_text(least)} or more"
    else:
        dash = " –\n" if layout is _IN_LINES else " – "
        yield f"{duration_text(least)}{dash}{duration_text(most)}"


def _outcome(outcome: str | None) -> str | Text:
    return Text("open", style="dim") if outcome is None else Text(outcome, _OUTCOME_STYLES[Outcome(outcome)])


def _runs(runs: dict[str, Any], layout: _Layout) -> Text:
    """Return the known counts other than 0, and the total if known."""
    total = runs["total"]
    parts = [Text(f"{runs[name]} {name}", style) for name, style in _RUN_STYLES.items() if runs[name]]
    if not parts and any(runs[name] == 0 for name in _RUN_STYLES):
        parts = [Text("none finished")]
    words = Text(layout.first).join(parts)
    if total is None:
        return words
    if not parts:
        return Text(f"{total} in all")
    return words.append("\n" if layout is _IN_LINES else " ").append(f"of {total}")


def _time_spent(body: dict[str, Any], width: int) -> Table:
    """Show the time seen in each phase as bars, and beside it the time of runs in each status."""
    dwell, runs = (
        {name: seconds for name, seconds in body[member].items() if seconds}
        for member in ("dwell_seconds", "run_seconds")
    )
    phases = _durations("seen in phase")
    phases.add_column(width=max(1, min(_WIDEST_BAR, width - _BESIDE_BAR)))
    for phase, seconds in dwell.items():
        name = phase_text(phase)
        share = bar(seconds / sum(dwell.values()), phases.columns[-1].width or 1)
        phases.add_row(name, duration_text(seconds), Text(share, name.style))
    statuses = _durations("runs seen, summed")
    for status, seconds in runs.items():
        statuses.add_row(Text(status, _RUN_STYLES.get(status, "")), duration_text(seconds))
    beside = Table.grid(padding=(0, 4, 0, 0))
    beside.add_row(*([phases, statuses] if runs else [phases]))
    return beside


def _durations(title: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(title, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    return table
