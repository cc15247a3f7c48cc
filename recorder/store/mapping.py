"""Convert between database rows and the ledger's own types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any

from sqlalchemy import Row

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.body_columns import decode, extra_of
from recorder.ledger.entries import (
    NOTHING_EXPECTED,
    Action,
    Entry,
    Expectation,
    Gap,
    Interval,
    Kind,
    StatusContent,
    WatchChange,
)
from recorder.ledger.failure_run import NO_FAILURES, FailureRun, Tally
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.status_fields import RUN_STATUSES, STATUS_COLUMNS, Phase, StatusFields
from recorder.ledger.timestamps import format_time, parse_time
from recorder.ledger.watch import Head, InForce, Watch, WatchState

_counts = attrgetter(*RUN_STATUSES)


ENTRY_COLUMNS = (
    *("state", "head_seq", "head_kind", "head_at", "head_digest"),
    *("status_seq", "fingerprint", "phase", "finished", "modified_at", "earlier_sight_at"),
)
"""The columns of a watch that only entries change."""
POLL_COLUMNS = (
    *("due_at", "gap_at", "poll_due_at", "last_asked_at", "last_seen_at", "polls"),
    *("quiet_since", "failures"),
)
"""The columns of a watch that every poll may change."""
_EXPECTED_COLUMNS = ("expected_runs", "expected_by")
"""The columns of a watch that polls never change."""


def entry_values(watch: Watch) -> tuple[Any, ...]:
    """Return the values of ENTRY_COLUMNS."""
    head, force = watch.head, watch.in_force
    fixed = (watch.state.value, head.seq, head.kind.value, head.at, head.digest)
    if force is None:
        return *fixed, None, None, None, None, None, watch.earlier_sight
    in_force = (force.seq, force.fingerprint, force.phase.value, force.finished, force.modified_at)
    return *fixed, *in_force, watch.earlier_sight


def poll_values(watch: Watch) -> tuple[Any, ...]:
    """Return the values of POLL_COLUMNS."""
    opened = watch.open
    interval: tuple[Any, ...] = (None, None, None)
    if opened is not None:
        interval = (opened.last_asked_at, opened.last_seen_at, opened.polls)
    quiet_since = None if watch.in_force is None else watch.in_force.quiet_since
    due = (watch.due_at, watch.gap_at, watch.poll_due_at)
    return *due, *interval, quiet_since, _failures_text(watch.failures)


def watch_row(watch: Watch) -> dict[str, Any]:
    """Return the columns that a watch fills, without those of the schedule and the lease."""
    names = (*ENTRY_COLUMNS, *POLL_COLUMNS, *_EXPECTED_COLUMNS)
    expected = (watch.expected.runs, watch.expected.by)
    return dict(zip(names, (*entry_values(watch), *poll_values(watch), *expected), strict=True))


def watch_of(row: Row[Any]) -> Watch:
    """Read a row of `watches`."""
    opened = row.last_seen_at and Interval(row.last_asked_at, row.last_seen_at, row.polls)
    force = row.status_seq and InForce(
        seq=row.status_seq,
        fingerprint=row.fingerprint,
        phase=Phase(row.phase),
        finished=row.finished,
        modified_at=row.modified_at,
        quiet_since=row.quiet_since,
    )
    return Watch(
        taskgroup_id=row.taskgroup_id,
        state=WatchState(row.state),
        enrolled_at=row.enrolled_at,
        head=Head(row.head_seq, Kind(row.head_kind), row.head_at, row.head_digest),
        due_at=row.due_at,
        gap_at=row.gap_at,
        poll_due_at=row.poll_due_at,
        open=opened or None,
        in_force=force or None,
        failures=failures_of(row.failures),
        expected=Expectation(row.expected_runs, row.expected_by),
        earlier_sight=row.earlier_sight_at,
    )


def entry_row(entry: Entry) -> dict[str, Any]:
    """Return the row of `entries` that holds `entry`."""
    previous = entry.previous
    return {
        "taskgroup_id": entry.taskgroup_id,
        "seq": entry.seq,
        "kind": entry.kind.value,
        "at": entry.at,
        "previous_last_asked_at": previous.last_asked_at if previous else None,
        "previous_last_seen_at": previous.last_seen_at if previous else None,
        "previous_polls": previous.polls if previous else None,
        **dict.fromkeys(_CONTENT_COLUMNS),
        **_content_columns(entry),
        "digest": entry.digest,
    }


def entry_of(row: Row[Any]) -> Entry:
    """Read a row of `entries`, and rebuild the body that was received."""
    previous = None
    if row.previous_polls is not None:
        previous = Interval(row.previous_last_asked_at, row.previous_last_seen_at, row.previous_polls)
    return Entry(row.taskgroup_id, row.seq, row.at, previous, _content_of(row), row.digest)


def status_fields_of(row: Row[Any]) -> StatusFields:
    return StatusFields(
        phase=Phase(row.phase),
        num_task_runs=row.num_task_runs,
        counts=_counts(row),
        is_active=row.is_active,
        status_message=row.status_message,
        modified_at=row.modified_at,
        metadata=row.metadata,
        created_at=row.created_at,
    )


def gap_of(row: Row[Any]) -> Gap:
    return Gap(
        from_=row.gap_from,
        to=row.at,
        cause=Cause(row.gap_cause),
        attempts=row.gap_attempts,
        unpolled_seconds=row.gap_unpolled_seconds,
        http_status=row.gap_http_status,
        detail=row.gap_detail,
    )


def watch_change_of(row: Row[Any]) -> WatchChange:
    action, expect = Action(row.watch_action), Expectation(row.expect_runs, row.expect_by)
    is_said = action is Action.EXPECTED or expect != NOTHING_EXPECTED
    return WatchChange(action, row.watch_actor, row.watch_note, expect if is_said else None)


def anomalies_text(anomalies: Sequence[Anomaly]) -> str:
    """Return anomalies as they are stored."""
    return json.dumps(anomalies) if anomalies else "[]"


def anomalies_in(row: Row[Any]) -> tuple[Anomaly, ...]:
    names = row.anomalies
    return () if names == "[]" else tuple(Anomaly(name) for name in json.loads(names))


_CONTENT_COLUMNS = (
    *("phase", *STATUS_COLUMNS, "anomalies", "extra", "rules"),
    *("gap_from", "gap_cause", "gap_attempts", "gap_unpolled_seconds", "gap_http_status", "gap_detail"),
    *("watch_action", "watch_actor", "watch_note", "expect_runs", "expect_by"),
)


def _content_columns(entry: Entry) -> dict[str, Any]:
    content = entry.content
    if isinstance(content, StatusContent):
        fields = content.fields
        return {
            **dict(zip(STATUS_COLUMNS, fields.columns(), strict=True)),
            "phase": fields.phase.value,
            "anomalies": anomalies_text(content.anomalies),
            "extra": extra_of(entry.taskgroup_id, content.body, fields),
            "rules": content.rules,
        }
    if isinstance(content, Gap):
        return {
            "gap_from": content.from_,
            "gap_cause": content.cause.value,
            "gap_attempts": content.attempts,
            "gap_unpolled_seconds": content.unpolled_seconds,
            "gap_http_status": content.http_status,
            "gap_detail": content.detail,
        }
    return {
        "watch_action": content.action.value,
        "watch_actor": content.actor,
        "watch_note": content.note,
        "expect_runs": content.expect and content.expect.runs,
        "expect_by": content.expect and content.expect.by,
    }


def _content_of(row: Row[Any]) -> StatusContent | Gap | WatchChange:
    if row.kind == Kind.GAP:
        return gap_of(row)
    if row.kind == Kind.WATCH:
        return watch_change_of(row)
    fields = status_fields_of(row)
    body = decode(row.taskgroup_id, fields, row.extra)
    return StatusContent(body, fields, anomalies_in(row), row.rules)


def _failures_text(run: FailureRun) -> str | None:
    if run is NO_FAILURES or run == NO_FAILURES:
        return None
    members = asdict(run)
    members["missing_since"] = run.missing_since and format_time(run.missing_since)
    return json.dumps(members)


def failures_of(text: str | None) -> FailureRun:
    """Read the column `failures` of a watch."""
    if text is None:
        return NO_FAILURES
    members = json.loads(text)
    tallies = tuple(Tally(**{**tally, "cause": Cause(tally["cause"])}) for tally in members.pop("tallies"))
    since = members.pop("missing_since")
    return FailureRun(**members, tallies=tallies, missing_since=since and parse_time(since))
