"""The rhythm of single runs (`recorder run --once`), such as those of cron, and polls planned for it. Pure.

A group that is due in 10 s is not polled then but by the next run, so that run is when its poll is due. A
single run knows of the others only from what they recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recorder.ledger.watch import Watch
from recorder.polling.schedule import Intervals, Plan

SHORTEST = timedelta(minutes=1)
"""Cron starts nothing more often. Where the gap window is shorter than usual, so are the rhythms guessed."""
SHORTEST_WINDOWS = 2
LONGEST = timedelta(hours=1)
"""The limit to what is guessed: after an outage of a day, runs are not expected once a day."""


@dataclass(frozen=True, slots=True)
class RunRhythm:
    """How long after one run the next one starts: exactly `seconds` if `is_known`, else about that."""

    between_runs: timedelta
    shortest: timedelta
    is_known: bool

    def at(self, watch: Watch, now: datetime) -> timedelta:
        """Return the time between runs by what is known of a group that is polled `now`.

        The runs since the group's last response have taken that time together.
        """
        if self.is_known or watch.open is None:
            return self.between_runs
        since = now - watch.open.last_seen_at
        runs = max(1, round(since / self.between_runs))
        return min(max(since / runs, self.shortest), LONGEST)


def rhythm_of(
    now: datetime, last_response_at: datetime | None, every: timedelta | None, intervals: Intervals
) -> RunRhythm:
    """Return the rhythm of the run that starts `now`.

    `every` is what the user says, None if nothing. `last_response_at` is the last response for any group, and
    stands for the run before; None if there was none.
    """
    shortest = min(SHORTEST, intervals.gap_window * SHORTEST_WINDOWS)
    if every is not None:
        return RunRhythm(every, shortest, is_known=True)
    guess = shortest if last_response_at is None else now - last_response_at
    return RunRhythm(min(max(guess, shortest), LONGEST), shortest, is_known=False)


def plan_for_runs(planned: Plan, now: datetime, between_runs: timedelta, intervals: Intervals) -> Plan:
    """Move the next poll of a group that was polled `now` to the run nearest to it, but not to this one.

    A group may be polled up to half of `between_runs` earlier, since no run starts on the second.
    """
    watch = planned.watch
    if watch.poll_due_at is None or planned.next_poll_at is None:
        return planned
    wait = max(1, round((watch.poll_due_at - now) / between_runs)) * between_runs
    due_at = now + wait
    if watch.failures.attempts:
        return replace(planned, watch=replace(watch, poll_due_at=due_at))
    due = replace(watch, due_at=due_at, gap_at=due_at + intervals.gap_window, poll_due_at=due_at)
    next_poll_at = min(planned.next_poll_at, due_at - between_runs / 2)
    return Plan(due, next_poll_at, wait.total_seconds())
