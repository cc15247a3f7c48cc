"""Ledgers for the tests, built with the recorder's own transitions. Times are seconds after T0."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from recorder.completion.episodes import Episode, episodes_of
from recorder.completion.time_bounds import Moment
from recorder.ledger import transitions as decision
from recorder.ledger.entries import Action, Entry, ExpectationChanges, WatchChange
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.ledger.timestamps import format_time
from recorder.ledger.transitions import Rules, Transition
from recorder.ledger.watch import WatchState

GROUP = "tgrp_1"
T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
POLL_INTERVAL = 10
GAP_WINDOW = 30
RULES = Rules(timedelta(seconds=GAP_WINDOW), timedelta(seconds=900), None)

_ACTIVE = ("queued", "running", "cancelling")


def time(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def seconds(moment: datetime) -> float:
    return (moment - T0).total_seconds()


def body(created: float | None = None, modified: float | None = None, **status: Any) -> ResponseBody:
    """A response body with the given counts; `total`, `active` and `message` override derived members."""
    total = status.pop("total", None)
    active = status.pop("active", None)
    message = status.pop("message", None)
    value = {
        "taskgroup_id": GROUP,
        "created_at": None if created is None else format_time(time(created)),
        "status": {
            "num_task_runs": sum(status.values()) if total is None else total,
            "task_run_status_counts": status,
            "is_active": any(status.get(name) for name in _ACTIVE) if active is None else active,
            "status_message": message,
            "modified_at": None if modified is None else format_time(time(modified)),
        },
    }
    return parse_body(json.dumps(value).encode())


class Ledger:
    """A group's ledger, with methods that extend it."""

    def __init__(self, at: float = 0) -> None:
        step = decision.start(GROUP, WatchChange(Action.STARTED, "ann", None), time(at), RULES)
        self.watch = step.watch
        self.entries: list[Entry] = list(step.entries)

    def see(self, at: float, seen: ResponseBody, *, asked: float | None = None) -> Ledger:
        """Record that the upstream responded with `seen`; the next poll is due POLL_INTERVAL later."""
        asked = at - 1 if asked is None else asked
        step = decision.observe(self.watch, Observation(time(asked), time(at), seen), RULES)
        due = time(at + POLL_INTERVAL)
        self._take(step)
        self.watch = replace(self.watch, due_at=due, gap_at=due + RULES.gap_window, poll_due_at=due)
        return self

    def fail(self, at: float, cause: Cause = Cause.UNREACHABLE) -> Ledger:
        self._take(decision.fail(self.watch, Failure(time(at), time(at), cause, None, "no answer"), RULES))
        return self

    def cease(self, at: float, action: Action = Action.PAUSED) -> Ledger:
        self._take(decision.cease(self.watch, WatchChange(action, "ann", None), time(at)))
        return self

    def note(self, at: float) -> Ledger:
        self._take(decision.remark(self.watch, WatchChange(Action.NOTED, "ann", "é 𝄞"), time(at)))
        return self

    def expect(self, at: float, runs: int | None, by: float | None) -> Ledger:
        changes: ExpectationChanges = {"runs": runs, "by": None if by is None else time(by)}
        self._take(decision.expect(self.watch, changes, "ann", time(at)))
        return self

    def resume(self, at: float) -> Ledger:
        self._take(decision.resume(self.watch, WatchChange(Action.RESUMED, "ann", None), time(at), RULES))
        return self

    @property
    def watching(self) -> bool:
        return self.watch.state is WatchState.WATCHING

    @property
    def answers(self) -> bool:
        """Whether the group is being polled; a gone group still is."""
        return self.watch.state in {WatchState.WATCHING, WatchState.GONE}

    def episodes(self) -> list[Episode]:
        return episodes_of(self.entries, self.watch.open)

    def only(self) -> Episode:
        (episode,) = self.episodes()
        return episode

    def _take(self, step: Transition) -> None:
        self.watch = step.watch
        self.entries.extend(step.entries)


def in_seconds(moment: Moment | None) -> tuple[float, float | None, float, str] | None:
    """Return a moment as (at, earliest, latest, basis), in seconds."""
    if moment is None:
        return None
    earliest = None if moment.earliest is None else seconds(moment.earliest)
    return seconds(moment.at), earliest, seconds(moment.latest), moment.basis.value
