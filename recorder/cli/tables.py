"""How phases, times and durations look in a terminal."""

from __future__ import annotations

from rich.text import Text

from recorder.ledger.status import Phase

_PHASE_STYLES = {
    Phase.ACTIVE: "cyan",
    Phase.BLOCKED: "yellow",
    Phase.EMPTY: "dim",
    Phase.SETTLED: "green",
    Phase.UNCLEAR: "magenta",
}
_MINUTE, _HOUR = 60, 3600


def phase_text(phase: Phase | None) -> Text:
    """Return a phase in its colour; a group that was never seen has none."""
    return Text("not seen", style="dim") if phase is None else Text(phase.value, style=_PHASE_STYLES[phase])


def duration_text(seconds: float, *, more: bool = False) -> str:
    """Return a duration as people say it; `more` marks one that goes on: "longer than this"."""
    if seconds < _MINUTE:
        words = f"{seconds:.1f} s"
    elif seconds < _HOUR:
        words = f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    else:
        words = f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    return f"> {words}" if more else words
