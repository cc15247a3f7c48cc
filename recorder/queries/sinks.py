"""The sinks of events as JSON-ready values."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Any

from recorder.ledger.timestamps import format_time
from recorder.store.deliveries import SinkState


def sink_body(state: SinkState) -> dict[str, Any]:
    """Return the state of a sink as JSON values."""
    return {
        "name": state.name,
        "kind": state.kind,
        "pending": state.pending,
        "failed": state.failed,
        "oldest_pending_at": _text(state.oldest_pending_at),
        "disabled_at": _text(state.disabled_at),
        "last_success_at": _text(state.last_success_at),
        "last_error_at": _text(state.last_error_at),
        "last_error": state.last_error,
    }


def sink_problem(state: SinkState) -> str | None:
    """Return what is wrong with a sink that does not mend itself, and what to do; None if nothing is."""
    problems = []
    if state.disabled_at is not None:
        problems.append(f"it has wanted no more events since {format_time(state.disabled_at)}")
    if state.failed:
        problems.append(f"it could not be told {state.failed} event{'s' if state.failed > 1 else ''}")
    if not problems:
        return None
    error = f" (last: {state.last_error})" if state.last_error else ""
    again = f"try again with: recorder notify replay {shlex.quote(state.name)}"
    return f"{' and '.join(problems)}{error}; {again}"


def _text(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)
