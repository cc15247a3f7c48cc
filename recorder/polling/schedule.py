"""When to ask a group again: pure, the caller brings time and chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import Watch, WatchState

BACK_OFF = 1.5
ACTIVE_STRETCH = 6
JITTER = 0.1
FIRST_RETRY_SHARE = 8
EARLY_RETRY_SHARE = 4
"""Before a gap opens, retries come after these fractions of the gap window: several fit into it."""
LONGEST_RETRY = timedelta(minutes=5)
USABLE_SHARE = 0.9
"""Regular polls are planned to need no more than this share of the rate: the rest is for retries."""

_QUIET_PHASES = {Phase.SETTLED, Phase.EMPTY}


@dataclass(frozen=True, slots=True)
class Intervals:
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
    watch: Watch,
    now: datetime,
    pace: Intervals,
    *,
    chance: float,
    stretch: float = 1.0,
    retry_after_seconds: float | None = None,
) -> Plan:
    """Set the next times of a group that was polled just now.

    `chance` in [-1, 1] spreads polls that would otherwise fall together; `stretch` is how many times as
    long every wait is because the rate does not suffice. After a failure `due_at` and `gap_at` stay as
    they are, and the upstream's wish to be left alone is obeyed if it is longer.
    """
    wish = timedelta(seconds=retry_after_seconds or 0)
    if watch.state is WatchState.GONE:
        return Plan(watch, now + max(_spread(pace.settled_interval * stretch, chance), wish), None)
    if watch.state is not WatchState.WATCHING:
        return Plan(watch, None, None)
    interval = interval_of(watch, pace) * stretch
    if watch.failures.attempts:
        delay = min(_retry_delay(watch, now, pace) * stretch, max(LONGEST_RETRY, interval))
        retry_at = now + max(_spread(delay, chance), wish)
        return Plan(replace(watch, poll_due_at=retry_at), retry_at, interval.total_seconds())
    due_at = now + _spread(interval, chance)
    due = replace(watch, due_at=due_at, gap_at=due_at + pace.gap_window, poll_due_at=due_at)
    return Plan(due, due_at, interval.total_seconds())


def interval_of(watch: Watch, pace: Intervals) -> timedelta:
    """Return the pace of a group: half as long again with each response that brought nothing new."""
    phase = None if watch.in_force is None else watch.in_force.phase
    return _interval(phase, 0 if watch.open is None else watch.open.polls, pace)


def requests_per_second(groups: Iterable[tuple[Phase | None, int, int]], pace: Intervals) -> float:
    """Return what groups need at their own paces.

    Each item is a phase (None: never seen), how many responses in a row said the same, and how many
    watched groups stand so.
    """
    return sum(count / _interval(phase, polls, pace).total_seconds() for phase, polls, count in groups)


def stretch_of(needed: float, rate: float) -> float:
    """Return how many times as long intervals must be so that `rate` suffices for what is needed."""
    return max(1.0, needed / (rate * USABLE_SHARE))


def longest_wait(pace: Intervals, stretch: float) -> timedelta:
    """Return the longest wait that is planned without a wish of the upstream's."""
    longest = max(pace.settled_interval, pace.poll_interval * ACTIVE_STRETCH, LONGEST_RETRY)
    return longest * stretch * (1 + JITTER)


def probe_delay(probes: int, held: timedelta, pace: Intervals) -> timedelta:
    """Return how long to wait before the next probe of an upstream that rejects the key.

    `probes` were made in vain, the polls of all groups being held back since `held`.
    """
    early = min(pace.gap_window / EARLY_RETRY_SHARE, LONGEST_RETRY)
    delay = _grown(pace.gap_window / FIRST_RETRY_SHARE, 2.0, probes, early)
    return min(max(delay, (held - pace.gap_window) / 2), LONGEST_RETRY)


def _interval(phase: Phase | None, polls: int, pace: Intervals) -> timedelta:
    quiet = phase in _QUIET_PHASES
    longest = max(pace.settled_interval, pace.poll_interval) if quiet else pace.poll_interval * ACTIVE_STRETCH
    return _grown(pace.poll_interval, BACK_OFF, max(0, polls - 1), longest)


def _retry_delay(watch: Watch, now: datetime, pace: Intervals) -> timedelta:
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
