"""How phases, times and durations look in a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.text import Text

from recorder.ledger.status import Phase
from recorder.ledger.times import parse_time

_PHASE_STYLES = {
    Phase.ACTIVE: "cyan",
    Phase.BLOCKED: "yellow",
    Phase.EMPTY: "dim",
    Phase.SETTLED: "green",
    Phase.UNCLEAR: "magenta",
}
_MINUTE, _HOUR = 60, 3600


def phase_text(phase: str | None) -> Text:
    """Return a phase in its colour; a group that was never seen has none."""
    return Text("not seen", style="dim") if phase is None else Text(phase, style=_PHASE_STYLES[Phase(phase)])


def time_text(time: str | None) -> str:
    """Return a time as the API writes it, in UTC and cut to seconds; nothing for none."""
    return "" if time is None else f"{time[:10]} {time[11:19]}"


def until_text(time: str | None, since: str | None) -> str:
    """Return the end of a stretch: without its date where that is the date of the start."""
    return time_text(time)[11:] if time and since and time[:10] == since[:10] else time_text(time)


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
    if seconds < _MINUTE:
        words = f"{seconds:.0f} s" if coarse else f"{seconds:.1f} s"
    elif seconds < _HOUR:
        words = f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    else:
        words = f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    return words
