"""Replaying a ledger: what its entries alone say of the watch row, and of what was derived with each of them.

A fold in the order of `seq`. What a watch row knows beyond its ledger, schedule, failures, the interval in
sight, is not here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from recorder.ledger.anomalies import anomalies_of
from recorder.ledger.entries import Action, Entry, Interval, StatusContent, WatchChange
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import RULES, read_body
from recorder.ledger.transitions import RECORDER_ACTOR, STATE_AFTER, in_force_after
from recorder.ledger.watch import Head, InForce, WatchState


@dataclass(frozen=True, slots=True)
class Replay:
    """What a ledger says up to its newest entry, the `head`; all None before the first.

    `sight_at` is the last response as far as entries tell, or else the newest change of the watch.
    """

    head: Head | None = None
    state: WatchState | None = None
    in_force: InForce | None = None
    sight_at: datetime | None = None


def replay_entry(replay: Replay, entry: Entry) -> Replay:
    """Return what the ledger says up to `entry`, the next one."""
    replay = replace(replay, head=Head(entry.seq, entry.kind, entry.at, entry.digest))
    replay = _held(replay, entry.previous)
    content = entry.content
    if isinstance(content, StatusContent):
        force = in_force_after(entry.seq, content, replay.in_force, entry.at)
        return replace(replay, in_force=force, sight_at=entry.at)
    if isinstance(content, WatchChange):
        return _changed(replay, content, entry.at)
    return replay


def status_said(
    replay: Replay, taskgroup_id: str, body: ResponseBody, at: datetime, previous: Interval | None
) -> StatusContent:
    """Return what the present rules derive from `body`, first said `at` in the next entry of a ledger.

    `previous` is the interval that the entry closes, if it closes one.
    """
    before, sight_at = replay.in_force, _held(replay, previous).sight_at
    reading = read_body(body)
    anomalies = anomalies_of(
        body,
        reading,
        taskgroup_id=taskgroup_id,
        finished_before=before.finished if before else None,
        modified_before=before.modified_at if before else None,
        clock_regressed=sight_at is not None and at < sight_at,
    )
    return StatusContent(body, reading, anomalies, RULES)


def _held(replay: Replay, previous: Interval | None) -> Replay:
    return replay if previous is None else replace(replay, sight_at=previous.last_seen_at)


def _changed(replay: Replay, change: WatchChange, at: datetime) -> Replay:
    # When a group that was gone answers, the response itself resumes the watch: what it comes after is
    # what came before that.
    answered = (
        change.action is Action.RESUMED and change.actor == RECORDER_ACTOR and replay.state is WatchState.GONE
    )
    quiet = replay.in_force
    if change.action is Action.RESUMED and quiet is not None:
        quiet = replace(quiet, quiet_since=at)
    sight_at = replay.sight_at if answered else at
    return replace(replay, state=STATE_AFTER[change.action], in_force=quiet, sight_at=sight_at)
