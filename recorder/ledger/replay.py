"""Replaying a ledger: what its entries alone determine of the watch row, and of each entry's derived fields.

Entries are replayed in the order of `seq`. The rest of a watch row (schedule, failures, the open interval)
does not follow from the ledger.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from recorder.ledger.derivation import derive, in_force_after
from recorder.ledger.entries import (
    NOTHING_EXPECTED,
    REMARKS,
    Action,
    Entry,
    Expectation,
    Interval,
    StatusContent,
    WatchChange,
)
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.transitions import RECORDER_ACTOR, STATE_AFTER
from recorder.ledger.value_class import value_class
from recorder.ledger.watch import Head, InForce, WatchState


@value_class
class Replay:
    """The state after a ledger's newest entry, the `head`; nothing is known before the first entry.

    `sight_at` is the last response that the entries show, or the newest change of state if that is later.
    `earlier_sight` is the same if the head is a note or an expectation, otherwise None.
    """

    head: Head | None = None
    state: WatchState | None = None
    in_force: InForce | None = None
    sight_at: datetime | None = None
    expected: Expectation = NOTHING_EXPECTED
    earlier_sight: datetime | None = None


def replay_entry(replay: Replay, entry: Entry) -> Replay:
    """Return the state after `entry`, the next one."""
    head = Head(entry.seq, entry.kind, entry.at, entry.digest)
    content = entry.content
    if isinstance(content, StatusContent):
        force = in_force_after(entry.seq, content, replay.in_force, entry.at)
        return Replay(head, replay.state, force, entry.at, replay.expected)
    sight_at = _last_sight(replay, entry.previous)
    if isinstance(content, WatchChange):
        return _change_watch(replay, content, head, sight_at)
    return Replay(head, replay.state, replay.in_force, sight_at, replay.expected)


def derive_status(
    replay: Replay, taskgroup_id: str, body: ResponseBody, at: datetime, previous: Interval | None
) -> StatusContent:
    """Return what the present rules derive from `body`, first received at `at`, in the next entry.

    `previous` is the interval that the entry closes, None if it closes none.
    """
    sight_at = _last_sight(replay, previous)
    clock_regressed = sight_at is not None and at < sight_at
    return derive(taskgroup_id, body, replay.in_force, at, clock_regressed=clock_regressed)


def _last_sight(replay: Replay, previous: Interval | None) -> datetime | None:
    return replay.sight_at if previous is None else previous.last_seen_at


def _change_watch(replay: Replay, change: WatchChange, head: Head, sight_at: datetime | None) -> Replay:
    if change.action in REMARKS:
        expected = replay.expected if change.expect is None else change.expect
        return Replay(head, replay.state, replay.in_force, sight_at, expected, earlier_sight=sight_at)
    # A group that was gone is resumed by its response, so the response before it is still the last one.
    is_response = (
        change.action is Action.RESUMED and change.actor == RECORDER_ACTOR and replay.state is WatchState.GONE
    )
    force = replay.in_force
    if change.action is Action.RESUMED and force is not None:
        force = replace(force, quiet_since=head.at)
    sight_at = sight_at if is_response else head.at
    return Replay(head, STATE_AFTER[change.action], force, sight_at, replay.expected)
