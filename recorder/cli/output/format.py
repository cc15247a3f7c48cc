"""Phases, states, causes, counts, times and durations as text for a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.text import Text

from recorder.ledger.entries import Action
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.status_fields import Phase
from recorder.ledger.timestamps import parse_time
from recorder.ledger.watch import WatchState

_PHASE_STYLES = {
    Phase.ACTIVE: "cyan",
    Phase.BLOCKED: "yellow",
    Phase.EMPTY: "dim",
    Phase.SETTLED: "green",
    Phase.UNCLEAR: "magenta",
}
_STATE_STYLES = {
    WatchState.WATCHING: "",
    WatchState.PAUSED: "yellow",
    WatchState.STOPPED: "dim",
    WatchState.GONE: "red",
    WatchState.RETIRED: "dim",
}
_ACTION_STYLES = {
    Action.STARTED: "blue",
    Action.RESUMED: "blue",
    Action.PAUSED: "yellow",
    Action.STOPPED: "yellow",
    Action.GONE: "red",
    Action.RETIRED: "dim",
    Action.NOTED: "cyan",
    Action.EXPECTED: "cyan",
}
_OWN_SILENCE_STYLE, _FAILURE_STYLE = "yellow", "red"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def phase_text(phase: str | None) -> Text:
    """Return a phase in its colour; None means that the group was never seen."""
    return Text("not seen", style="dim") if phase is None else Text(phase, style=_PHASE_STYLES[Phase(phase)])


def phase_of_group(group: dict[str, Any]) -> Text:
    """Return the phase of a group; one that is settled with fewer runs than expected is short, not done."""
    words = phase_text(group["phase"])
    return Text(f"{words.plain}, short", style="yellow") if is_short(group) else words


def is_short(group: dict[str, Any]) -> bool:
    """Whether a group is settled, but runs that are expected have not been added yet."""
    return group["phase"] == Phase.SETTLED and group["arrived"] is False


def runs_of_group(group: dict[str, Any]) -> str:
    """Return the number of finished runs and of all runs, and of those expected while some are missing."""
    words, expected = runs_text(group["progress"]), group["expected"]
    return f"{words}, {expected['runs']} expected" if group["arrived"] is False else words


def state_text(state: str) -> Text:
    """Return the state of a watch in its colour."""
    return Text(state, style=_STATE_STYLES[WatchState(state)])


def action_style(action: str) -> str:
    """Return the style of a change to a watch."""
    return _ACTION_STYLES[Action(action)]


def cause_text(gap: dict[str, Any]) -> Text:
    """Return the cause of a gap, coloured by whether the recorder or the upstream failed."""
    status = f" ({gap['http_status']})" if gap["http_status"] else ""
    own = gap["cause"] == Cause.NOT_POLLED
    return Text(f"{gap['cause']}{status}", style=_OWN_SILENCE_STYLE if own else _FAILURE_STYLE)


def count_text(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun; the plural adds an "s" unless given."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def bytes_text(size: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    value, units = float(size), ["bytes", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:,.0f} bytes" if units[0] == "bytes" else f"{value:,.1f} {units[0]}"


def lasted_text(gap: dict[str, Any], now: datetime) -> str:
    """Return how long a gap lasted, or how long it has lasted at `now` if it is still open."""
    end = now if gap["to"] is None else parse_time(gap["to"])
    words = duration_text(max(0.0, (end - parse_time(gap["from"])).total_seconds()))
    return f"{words} so far" if gap["to"] is None else words


def show_time(time: str | None) -> str:
    """Shorten a time of the API to seconds, without its zone, which is UTC; None becomes an empty text."""
    return "" if time is None else f"{time[:10]} {time[11:19]}"


def until_text(time: str | None, since: str | None) -> str:
    """Return `time` as `show_time` does, without its date if that is the date of `since`."""
    return show_time(time)[11:] if time and since and time[:10] == since[:10] else show_time(time)


def ago_text(time: str | None, now: datetime) -> str:
    """Return how long before `now` a time was; None becomes an empty text."""
    if time is None:
        return ""
    return f"{duration_text(max(0.0, (now - parse_time(time)).total_seconds()), coarse=True)} ago"


def runs_text(progress: dict[str, Any]) -> str:
    """Return the number of finished runs and of all runs, with ? for an unknown number."""
    finished, total = (
        "?" if progress[name] is None else str(progress[name]) for name in ("finished", "total")
    )
    return "" if finished == total == "?" else f"{finished}/{total}"


def counts_text(status: dict[str, Any]) -> str:
    """Return the counts of a status as the upstream reported them."""
    counts = status.get("task_run_status_counts")
    if not isinstance(counts, dict):
        return f"counts: {counts!r}"
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count != 0) or "no runs"


def duration_text(seconds: float, *, coarse: bool = False) -> str:
    """Return a duration in its two largest units; `coarse` drops tenths of seconds."""
    seconds = round(seconds, 0 if coarse else 1)
    if seconds < _MINUTE:
        words = f"{seconds:.0f} s" if coarse else f"{seconds:.1f} s"
    elif seconds < _HOUR:
        words = f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    elif seconds < _DAY:
        words = f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    else:
        words = f"{int(seconds // _DAY)} d {int(seconds % _DAY // _HOUR)} h"
    return words
