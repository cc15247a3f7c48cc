"""When to poll a group again. Pure: the caller passes in time and randomness."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recorder.ledger.status_fields import Phase
from recorder.ledger.watch import Watch, WatchState
from recorder.settings import Settings

BACK_OFF = 1.5
JITTER = 0.1
STILL_AFTER = timedelta(hours=2)
"""A settled group that has been quiet for longer is polled ever less often."""
STILL_SHARE = 10
"""By which part of its further quiet time the interval of such a group grows."""
LONGEST_INTERVAL = timedelta(days=1)
FIRST_RETRY_SHARE = 8
EARLY_RETRY_SHARE = 4
"""The first and longest wait before a gap opens are the gap window divided by these: several retries fit."""
LONGEST_RETRY = timedelta(minutes=5)
USABLE_SHARE = 0.9
"""The share of the capacity that regular polls may use; the rest is reserved for retries."""

STRETCH_PRECISION = 1e-4
LARGEST_STRETCH = 1e9

_QUIET_PHASES = {Phase.SETTLED, Phase.EMPTY}


@dataclass(frozen=True, slots=True)
class Intervals:
    """The intervals of the schedule.

    `poll_interval` is the time between polls while a group changes, `max_interval` what an unchanging group
    backs off to, `settled_interval` the same for a settled or empty one, and `gap_window` how late a response
    may be without causing a gap.
    """

    poll_interval: timedelta
    max_interval: timedelta
    settled_interval: timedelta
    gap_window: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Intervals:
        """Return the intervals that the settings ask for."""
        return cls(
            poll_interval=timedelta(seconds=settings.poll_interval),
            max_interval=timedelta(seconds=settings.max_interval),
            settled_interval=timedelta(seconds=settings.settled_interval),
            gap_window=settings.rules.gap_window,
        )


@dataclass(frozen=True, slots=True)
class Quietness:
    """How long a group has not changed: what its interval depends on.

    `phase` is None for a group that was never seen. `polls` is the number of equal responses in a row, and
    `quiet_seconds` the time since the body last changed. `interrupted` is whether the responses in a row
    began later than that, after a gap for example.
    """

    phase: Phase | None
    polls: int = 0
    quiet_seconds: float = 0.0
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class IntervalStretch:
    """How much longer intervals are because not enough polls can be made.

    That is by `factor`, but at most until they are `of_longest` times what the group would back off to.
    """

    factor: float = 1.0
    of_longest: float = 1.0

    def of(self, interval: timedelta, longest: timedelta) -> timedelta:
        """Return the stretched interval of a group that backs off to `longest`."""
        return min(interval * self.factor, max(interval, longest) * self.of_longest)


NO_STRETCH = IntervalStretch()


@dataclass(frozen=True, slots=True)
class Plan:
    """A watch with its next times set.

    `next_poll_at` is when to poll next, None for never. `interval_seconds` is the interval of a watched
    group, None while the group is not watched.
    """

    watch: Watch
    next_poll_at: datetime | None
    interval_seconds: float | None


def plan(
    watch: Watch,
    now: datetime,
    intervals: Intervals,
    *,
    chance: float,
    stretch: IntervalStretch = NO_STRETCH,
    at_most: timedelta | None = None,
    retry_after_seconds: float | None = None,
) -> Plan:
    """Set the next times of a group that has just been polled.

    `chance` in [-1, 1] spreads polls that would otherwise coincide. `at_most` bounds the interval further.
    After a failure `due_at` and `gap_at` stay unchanged, and the upstream's `Retry-After` is honored if it is
    longer than the planned wait.
    """
    retry_after = timedelta(seconds=retry_after_seconds or 0)
    if watch.state is WatchState.GONE:
        return Plan(
            watch, now + max(_spread(intervals.settled_interval * stretch.factor, chance), retry_after), None
        )
    if watch.state is not WatchState.WATCHING:
        return Plan(watch, None, None)
    interval = stretched_interval(watch, now, intervals, stretch)
    if at_most is not None:
        interval = min(interval, at_most)
    if watch.failures.attempts:
        delay = min(_retry_delay(watch, now, intervals) * stretch.factor, max(LONGEST_RETRY, interval))
        retry_at = now + max(_spread(delay, chance), retry_after)
        return Plan(replace(watch, poll_due_at=retry_at), retry_at, interval.total_seconds())
    due_at = now + _spread(interval, chance)
    due = replace(watch, due_at=due_at, gap_at=due_at + intervals.gap_window, poll_due_at=due_at)
    return Plan(due, due_at, interval.total_seconds())


def postponed(planned: Plan, due_at: datetime, intervals: Intervals) -> Plan:
    """Return the plan of a group with `due_at` in place of an earlier due time; its interval stays."""
    watch = planned.watch
    if watch.due_at is None or due_at <= watch.due_at:
        return planned
    due = replace(watch, due_at=due_at, gap_at=due_at + intervals.gap_window, poll_due_at=due_at)
    return Plan(due, due_at, planned.interval_seconds)


def interval_of(watch: Watch, now: datetime, intervals: Intervals) -> timedelta:
    """Return the interval of a group at `now`."""
    if watch.in_force is None:
        return interval_after(Quietness(None), intervals)
    since, polls = watch.in_force.quiet_since, 0 if watch.open is None else watch.open.polls
    quiet_seconds = max(0.0, (now - since).total_seconds())
    interrupted = watch.head.at > since
    return interval_after(Quietness(watch.in_force.phase, polls, quiet_seconds, interrupted), intervals)


def stretched_interval(
    watch: Watch, now: datetime, intervals: Intervals, stretch: IntervalStretch
) -> timedelta:
    """Return the interval of a group at `now`, made longer by `stretch`."""
    phase = None if watch.in_force is None else watch.in_force.phase
    return stretch.of(interval_of(watch, now, intervals), longest_interval(phase, intervals))


def longest_interval(phase: Phase | None, intervals: Intervals) -> timedelta:
    """Return what a group in `phase` backs off to."""
    longest = intervals.settled_interval if phase in _QUIET_PHASES else intervals.max_interval
    return max(longest, intervals.poll_interval)


def interval_after(group: Quietness, intervals: Intervals) -> timedelta:
    """Return the interval of a group, which grows by half with every unchanged response.

    A group that has not changed across a gap or a note keeps its place in that: starting again would ask for
    more polls when there were too few. A settled group's interval goes on growing.
    """
    shortest, longest = intervals.poll_interval, longest_interval(group.phase, intervals)
    quiet = timedelta(seconds=group.quiet_seconds)
    if group.phase is Phase.SETTLED and quiet > STILL_AFTER:
        still = longest + (quiet - STILL_AFTER) / STILL_SHARE
        return max(longest, min(still, LONGEST_INTERVAL))
    if group.interrupted:
        # Growing by half each time, the interval that follows a quiet time is about half of it longer.
        return min(shortest + quiet * (BACK_OFF - 1), longest)
    return _grown(shortest, BACK_OFF, max(0, group.polls - 1), longest)


def requests_per_second(groups: Iterable[tuple[Quietness, int]], intervals: Intervals) -> float:
    """Return the rate that groups need at their own intervals; each item has a number of watched groups."""
    return sum(count / interval_after(group, intervals).total_seconds() for group, count in groups)


def stretch_of(
    groups: Collection[tuple[Quietness, int]], capacity: float, intervals: Intervals
) -> IntervalStretch:
    """Return the stretch with which `capacity`, in requests per second, covers what is needed.

    Each item has a number of watched groups. No group waits longer than it would if all had backed off.
    """
    usable = capacity * USABLE_SHARE
    known = [
        (count, interval_after(group, intervals), longest_interval(group.phase, intervals))
        for group, count in groups
    ]

    def needed(stretch: IntervalStretch) -> float:
        return sum(
            count / stretch.of(interval, longest).total_seconds() for count, interval, longest in known
        )

    if needed(NO_STRETCH) <= usable:
        return NO_STRETCH
    backed_off = sum(count / max(interval, longest).total_seconds() for count, interval, longest in known)
    of_longest = max(1.0, backed_off / usable)
    low, high = 1.0, needed(NO_STRETCH) / usable
    while (
        needed(IntervalStretch(high, of_longest)) > usable * (1 + STRETCH_PRECISION)
        and high < LARGEST_STRETCH
    ):
        low, high = high, high * 2
    while high - low > STRETCH_PRECISION * low:
        middle = (low + high) / 2
        low, high = (middle, high) if needed(IntervalStretch(middle, of_longest)) > usable else (low, middle)
    return IntervalStretch(high, of_longest)


def longest_wait(intervals: Intervals, stretch: float) -> timedelta:
    """Return the longest wait that is planned without a `Retry-After`, except for settled groups: each of
    them has an interval of its own that may be longer."""
    longest = max(intervals.settled_interval, intervals.max_interval, intervals.poll_interval, LONGEST_RETRY)
    return longest * stretch * (1 + JITTER)


def probe_delay(probes: int, held: timedelta, intervals: Intervals) -> timedelta:
    """Return how long to wait before the next probe of an upstream that rejects the key.

    `probes` is the number of failed probes, and `held` how long all polls have been held back.
    """
    early = min(intervals.gap_window / EARLY_RETRY_SHARE, LONGEST_RETRY)
    delay = _grown(intervals.gap_window / FIRST_RETRY_SHARE, 2.0, probes, early)
    return min(max(delay, (held - intervals.gap_window) / 2), LONGEST_RETRY)


def _retry_delay(watch: Watch, now: datetime, intervals: Intervals) -> timedelta:
    """Return the wait before a retry: a part of the gap window, or half of the gap once one is open."""
    early = min(intervals.gap_window / EARLY_RETRY_SHARE, LONGEST_RETRY)
    delay = _grown(intervals.gap_window / FIRST_RETRY_SHARE, 2.0, watch.failures.attempts - 1, early)
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
