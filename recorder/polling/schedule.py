"""When to ask a group again: pure, the caller brings time and chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recorder.ledger.status import Phase
from recorder.ledger.watch import Watch, WatchState

BACK_OFF = 1.5
ACTIVE_STRETCH = 6
JITTER = 0.1
FIRST_RETRY_SHARE = 8
EARLY_RETRY_SHARE = 4
"""Before a gap opens, retries come after these fractions of the gap window: several fit into it."""
LONGEST_RETRY = timedelta(minutes=5)

_QUIET_PHASES = {Phase.SETTLED, Phase.EMPTY}


@dataclass(frozen=True, slots=True)
class Pace:
    """`poll_interval`: between two polls while something changes. `settled_interval`: what a quiet
    settled or empty group backs off to. `gap_window`: how late a response may come without a gap."""

    poll_interval: timedelta
    settled_interval: timedelta
    gap_window: timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """A watch with its next times set. `next_poll_at` is when to try next, None for never;
    `interval_seconds` is the pace of a watched group, None while it is not watched."""

    watch: Watch
    next_poll_at: datetime | None
    interval_seconds: float | None


def plan(
    watch: Watch, now: datetime, pace: Pace, *, chance: float, retry_after_seconds: float | None = None
) -> Plan:
    """Set the next times of a group that was polled just now.

    `chance` in [-1, 1] spreads polls that would otherwise fall together. After a failure `due_at` and
    `gap_at` stay as they are, and the upstream's wish to be left alone is obeyed if it is longer.
    """
    wish = timedelta(seconds=retry_after_seconds or 0)
    if watch.state is WatchState.GONE:
        return Plan(watch, now + max(_spread(pace.settled_interval, chance), wish), None)
    if watch.state is not WatchState.WATCHING:
        return Plan(watch, None, None)
    interval = interval_of(watch, pace)
    if watch.failures.attempts:
        retry_at = now + max(_spread(_retry_delay(watch, now, pace), chance), wish)
        return Plan(replace(watch, poll_due_at=retry_at), retry_at, interval.total_seconds())
    due_at = now + _spread(interval, chance)
    due = replace(watch, due_at=due_at, gap_at=due_at + pace.gap_window, poll_due_at=due_at)
    return Plan(due, due_at, interval.total_seconds())


def interval_of(watch: Watch, pace: Pace) -> timedelta:
    """Return the pace of a group: half as long again with each response that brought nothing new."""
    quiet = watch.in_force is not None and watch.in_force.phase in _QUIET_PHASES
    longest = max(pace.settled_interval, pace.poll_interval) if quiet else pace.poll_interval * ACTIVE_STRETCH
    unchanged = watch.open.polls - 1 if watch.open is not None else 0
    return _grown(pace.poll_interval, BACK_OFF, unchanged, longest)


def _retry_delay(watch: Watch, now: datetime, pace: Pace) -> timedelta:
    """Several retries fit into the gap window; once a gap is open, they come after half of its length."""
    early = min(pace.gap_window / EARLY_RETRY_SHARE, LONGEST_RETRY)
    delay = _grown(pace.gap_window / FIRST_RETRY_SHARE, 2.0, watch.failures.attempts - 1, early)
    if watch.gap_at is not None and now > watch.gap_at:
        delay = max(delay, (now - watch.gap_at) / 2)
    return min(delay, LONGEST_RETRY)


def _grown(first: timedelta, factor: float, times: int, longest: timedelta) -> timedelta:
    delay = first
    for _ in range(times):
        if delay >= longest:
            break
        delay *= factor
    return min(delay, longest)


def _spread(delay: timedelta, chance: float) -> timedelta:
    return delay * (1 + JITTER * chance)
