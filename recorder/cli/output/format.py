"""How phases, states, causes, times and durations look in a terminal."""

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
}
_OWN_SILENCE_STYLE, _FAILURE_STYLE = "yellow", "red"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def phase_text(phase: str | None) -> Text:
    """Return a phase in its colour; a group that was never seen has none."""
    return Text("not seen", style="dim") if phase is None else Text(phase, style=_PHASE_STYLES[Phase(phase)])


def state_text(state: str) -> Text:
    """Return the state of a watch in its colour."""
    return Text(state, style=_STATE_STYLES[WatchState(state)])


def action_style(action: str) -> str:
    """Return the colour of a change of the watch."""
    return _ACTION_STYLES[Action(action)]


def cause_text(gap: dict[str, Any]) -> Text:
    """Return why a gap's group was not seen, in the colour of what failed: the recorder or the upstream."""
    status = f" ({gap['http_status']})" if gap["http_status"] else ""
    own = gap["cause"] == Cause.NOT_POLLED
    return Text(f"{gap['cause']}{status}", style=_OWN_SILENCE_STYLE if own else _FAILURE_STYLE)


def failed_text(attempts: int) -> str:
    """Return how many polls failed."""
    return f"{attempts} failed poll{'' if attempts == 1 else 's'}"


def lasted_text(gap: dict[str, Any], now: datetime) -> str:
    """Return how long a gap lasted, or has lasted so far if it is open at `now`."""
    end = now if gap["to"] is None else parse_time(gap["to"])
    words = duration_text(max(0.0, (end - parse_time(gap["from"])).total_seconds()))
    return f"{words} so far" if gap["to"] is None else words


def show_time(time: str | None) -> str:
    """Return a time as the API writes it, in UTC and cut to seconds; nothing for none."""
    return "" if time is None else f"{time[:10]} {time[11:19]}"


def until_text(time: str | None, since: str | None) -> str:
    """Return the end of a stretch: without its date where that is the date of the start."""
    return show_time(time)[11:] if time and since and time[:10] == since[:10] else show_time(time)


def ago_text(time: str | None, now: datetime) -> str:
    """Return how long before `now` a time was; nothing for none."""
    if time is None:
        return ""
    return f"{duration_text(max(0.0, (now - parse_time(time)).total_seconds()), coarse=True)} ago"


def runs_text(progress: dict[str, Any]) -> str:
    """Return how many runs of how many have finished; ? for what is not known."""
    finished, total = (
        "?" if progress[name] is None else str(progress[name]) for name in ("finished", "total")
    )
    return "" if finished == total == "?" else f"{finished}/{total}"


def counts_text(status: dict[str, Any]) -> str:
    """Return the counts of a status as they were said."""
    counts = status.get("task_run_status_counts")
    if not isinstance(counts, dict):
        return f"counts: {counts!r}"
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count != 0) or "no runs"


def duration_text(seconds: float, *, coarse: bool = False) -> str:
    """Return a duration as people say it; `coarse` drops tenths of seconds."""
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
