"""Transitions: given a watch row and an event, the entries to write and the next watch row.

Pure: the caller passes the time. If the group is still watched after a response, its next times are None
until the schedule sets them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from recorder.ledger.chain import GENESIS, digest_of, record_of
from recorder.ledger.derivation import derive, in_force_after
from recorder.ledger.entries import (
    Action,
    Entry,
    ExpectationChanges,
    Gap,
    Interval,
    Kind,
    StatusContent,
    WatchChange,
)
from recorder.ledger.failure_run import NO_FAILURES
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.status_fields import Phase
from recorder.ledger.value_class import value_class
from recorder.ledger.watch import Head, Watch, WatchState

RECORDER_ACTOR = "recorder"
"""The actor of watch changes that the recorder makes without a request."""

MIN_MISSING_POLLS = 3

STATE_AFTER = {
    Action.STARTED: WatchState.WATCHING,
    Action.RESUMED: WatchState.WATCHING,
    Action.PAUSED: WatchState.PAUSED,
    Action.STOPPED: WatchState.STOPPED,
    Action.GONE: WatchState.GONE,
    Action.RETIRED: WatchState.RETIRED,
}
"""The state after each action that changes it."""


@value_class
class Rules:
    """`gap_window`: how late a response may be without a gap (grace or poll interval, whichever is longer).
    `gone_after`: after how long a period of 404s a group is gone, None for never. `retire_after`: how long a
    settled group stays watched while nothing changes, None for no limit."""

    gap_window: timedelta
    gone_after: timedelta | None
    retire_after: timedelta | None


@value_class
class Transition:
    watch: Watch
    entries: tuple[Entry, ...] = ()


def start(taskgroup_id: str, change: WatchChange, at: datetime, rules: Rules) -> Transition:
    """Enrol a group: its ledger begins with `started`, and its first poll is due immediately."""
    entry = _entry(taskgroup_id, 1, at, previous=None, content=change, previous_digest=GENESIS)
    watch = Watch(
        taskgroup_id=taskgroup_id,
        state=WatchState.WATCHING,
        enrolled_at=at,
        head=Head(1, Kind.WATCH, at, entry.digest),
        due_at=at,
        gap_at=at + rules.gap_window,
        poll_due_at=at,
    )
    return Transition(watch, (entry,))


def resume(watch: Watch, change: WatchChange, at: datetime, rules: Rules) -> Transition:
    """Resume watching a group; its next poll is due immediately."""
    step = _append(Transition(watch), at, change)
    quiet = watch.in_force and replace(watch.in_force, quiet_since=at)
    return replace(
        step,
        watch=replace(step.watch, due_at=at, gap_at=at + rules.gap_window, poll_due_at=at, in_force=quiet),
    )


def cease(watch: Watch, change: WatchChange, at: datetime) -> Transition:
    """Stop watching (paused, stopped, gone, retired). A gap that is open past `gap_at` is written first."""
    step = Transition(watch)
    if watch.gap_at is not None and at > watch.gap_at:
        late = 0.0 if watch.poll_due_at is None else _late_seconds(watch.poll_due_at, at)
        step = _append(step, at, _gap(watch, at, late))
    step = _append(step, at, change)
    return replace(
        step,
        watch=replace(step.watch, due_at=None, gap_at=None, poll_due_at=None, failures=NO_FAILURES),
    )


def remark(watch: Watch, change: WatchChange, at: datetime) -> Transition:
    """Append a note or an expectation. The next response is written anew; nothing else changes."""
    step = _append(Transition(watch), at, change)
    expected = watch.expected if change.expect is None else change.expect
    return replace(step, watch=replace(step.watch, expected=expected, earlier_sight=watch.sight_at))


def expect(
    watch: Watch, changes: ExpectationChanges, actor: str, at: datetime, note: str | None = None
) -> Transition:
    """Append what is expected from now on; nothing is written if that is expected already."""
    expected = replace(watch.expected, **changes)
    if expected == watch.expected:
        return Transition(watch)
    return remark(watch, WatchChange(Action.EXPECTED, actor, note, expected), at)


def fail(watch: Watch, failure: Failure, rules: Rules) -> Transition:
    """Count a failed poll. After enough 404s in a row the group is gone."""
    if watch.poll_due_at is None:
        return Transition(watch)
    run = watch.failures.add(failure, _late_seconds(watch.poll_due_at, failure.asked_at))
    watch = replace(watch, failures=run)
    if run.missing_since is None or run.missing_polls < MIN_MISSING_POLLS:
        return Transition(watch)
    if rules.gone_after is None or failure.ended_at - run.missing_since < rules.gone_after:
        return Transition(watch)
    gone = WatchChange(Action.GONE, RECORDER_ACTOR, None)
    return cease(replace(watch, poll_due_at=None), gone, failure.ended_at)


def observe(watch: Watch, seen: Observation, rules: Rules) -> Transition:
    """Record a response: close a gap if there is one, then extend the status in force or write a new one."""
    step = Transition(watch)
    clock_regressed = seen.observed_at < watch.sight_at
    if watch.state is WatchState.GONE:
        back = WatchChange(Action.RESUMED, RECORDER_ACTOR, None)
        step = resume(watch, back, seen.observed_at, rules)
    elif watch.gap_at is not None and seen.observed_at > watch.gap_at:
        # What came after the answer was given is not part of the gap.
        polled_at = min(seen.asked_at, seen.observed_at)
        late = 0.0 if watch.poll_due_at is None else _late_seconds(watch.poll_due_at, polled_at)
        step = _append(step, seen.observed_at, _gap(watch, seen.observed_at, late))
    step = _see(step, seen, clock_regressed=clock_regressed)
    watch = replace(step.watch, due_at=None, gap_at=None, poll_due_at=None, failures=NO_FAILURES)
    step = replace(step, watch=watch)
    if _retires(watch, seen.observed_at, rules):
        retired = cease(watch, WatchChange(Action.RETIRED, RECORDER_ACTOR, None), seen.observed_at)
        return Transition(retired.watch, step.entries + retired.entries)
    return step


def open_gap(watch: Watch, now: datetime) -> Gap | None:
    """Return the gap that is open at `now`, as far as it is known, or None."""
    if watch.gap_at is None or now <= watch.gap_at:
        return None
    # The answer must not depend on `now`: its cause is that of the period until the next poll is due, which
    # only a poll changes.
    until = watch.gap_at if watch.poll_due_at is None else max(watch.gap_at, watch.poll_due_at)
    return replace(_gap(watch, until, 0.0), to=None)


def _see(step: Transition, seen: Observation, *, clock_regressed: bool) -> Transition:
    before, interval = step.watch.in_force, step.watch.open
    if before is not None and interval is not None and before.fingerprint == seen.body.fingerprint:
        return replace(step, watch=replace(step.watch, open=_extended(interval, seen)))
    status = derive(
        step.watch.taskgroup_id, seen.body, before, seen.observed_at, clock_regressed=clock_regressed
    )
    step = _append(step, seen.observed_at, status)
    interval = Interval(seen.last_asked_at, seen.observed_at, 1)
    in_force = in_force_after(step.watch.head.seq, status, before, seen.observed_at)
    return replace(step, watch=replace(step.watch, open=interval, in_force=in_force))


def _extended(interval: Interval, seen: Observation) -> Interval:
    """Extend an interval; its end does not move back if the clock did."""
    if seen.observed_at < interval.last_seen_at:
        return replace(interval, polls=interval.polls + 1)
    return Interval(seen.last_asked_at, seen.observed_at, interval.polls + 1)


def _retires(watch: Watch, now: datetime, rules: Rules) -> bool:
    if rules.retire_after is None or watch.in_force is None or watch.in_force.phase is not Phase.SETTLED:
        return False
    return now - watch.in_force.quiet_since >= rules.retire_after


def _gap(watch: Watch, to: datetime, late_seconds: float) -> Gap:
    run = watch.failures.late(late_seconds)
    since = min(watch.sight_at, to)
    commonest = run.cause_over((to - since).total_seconds())
    if commonest is None:
        return Gap(since, to, Cause.NOT_POLLED, run.attempts, run.unpolled_seconds, None, None)
    return Gap(
        since,
        to,
        commonest.cause,
        run.attempts,
        run.unpolled_seconds,
        commonest.http_status,
        commonest.detail,
    )


def _append(step: Transition, at: datetime, content: StatusContent | Gap | WatchChange) -> Transition:
    watch = step.watch
    entry = _entry(
        watch.taskgroup_id,
        watch.head.seq + 1,
        at,
        previous=watch.open,
        content=content,
        previous_digest=watch.head.digest,
    )
    state = STATE_AFTER.get(content.action, watch.state) if isinstance(content, WatchChange) else watch.state
    head = Head(entry.seq, entry.kind, at, entry.digest)
    appended = replace(watch, state=state, head=head, open=None, earlier_sight=None)
    return Transition(appended, (*step.entries, entry))


def _entry(
    taskgroup_id: str,
    seq: int,
    at: datetime,
    *,
    previous: Interval | None,
    content: StatusContent | Gap | WatchChange,
    previous_digest: str,
) -> Entry:
    record = record_of(taskgroup_id=taskgroup_id, seq=seq, at=at, previous=previous, content=content)
    return Entry(taskgroup_id, seq, at, previous, content, digest_of(previous_digest, record))


def _late_seconds(due_at: datetime, asked_at: datetime) -> float:
    return max(0.0, (asked_at - due_at).total_seconds())
