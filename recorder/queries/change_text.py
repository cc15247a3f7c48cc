"""Describe what changed from one entry of a ledger to the next. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from recorder.ledger.canonical import JsonObject
from recorder.ledger.chain import expectation_members
from recorder.ledger.entries import Action, Kind, WatchChange
from recorder.ledger.status_fields import Phase, is_count
from recorder.ledger.transitions import RECORDER_ACTOR

_ABSENT = object()
_MAX_TEXT = 60
_MAX_NAMES = 3

_AFTER = {
    Kind.GAP: "after the gap",
    Kind.WATCH: "after the break",
    Action.NOTED: "after the note",
    Action.EXPECTED: "after the new expectation",
}

_COUNTS, _TOTAL, _ACTIVE, _MESSAGE = "task_run_status_counts", "num_task_runs", "is_active", "status_message"
_MODIFIED, _METADATA, _STATUS = "modified_at", "metadata", "status"
_DESCRIBED_STATUS_MEMBERS = {_COUNTS, _TOTAL, _ACTIVE, _MESSAGE, _MODIFIED}
_DESCRIBED_MEMBERS = {_STATUS, _METADATA}


@dataclass(frozen=True, slots=True)
class ReportedStatus:
    """What the upstream reported: the response body, and the phase of the group by it."""

    phase: Phase
    body: JsonObject

    @property
    def status(self) -> JsonObject:
        status: JsonObject = self.body[_STATUS]
        return status


def status_text(before: ReportedStatus | None, now: ReportedStatus, follows: Kind | Action | None) -> str:
    """Describe what changed between two reports; `before` is None for the first one of a group.

    `follows` is the kind of the entry directly before that of `now`, or its action if that is a remark.
    """
    if before is None:
        return f"first seen: {'; '.join(_at_first(now))}"
    break_before = None if follows is None else _AFTER.get(follows)
    changes = list(_changes(before, now))
    if not changes and break_before is not None:
        return f"unchanged {break_before}"
    changed = "; ".join(changes) or "changed in a part not shown here"
    return changed if break_before is None else f"{break_before}: {changed}"


def expectation_text(expected: dict[str, Any] | None) -> str:
    """Return what is expected of a group in words."""
    if expected is None or not any(expected.values()):
        return "nothing"
    count, by = expected["runs"], expected["by"]
    runs = "done" if count is None else f"{count:,} run{'' if count == 1 else 's'}"
    return runs if by is None else f"{runs} by {by[:10]} {by[11:19]}"


def watch_text(change: WatchChange, before: WatchChange | None) -> str:
    """Describe a change to the watch: what was done, by whom and why.

    `before` is the change in the entry directly before, None if that has another kind.
    """
    words = f"{change.action} by {change.actor}"
    if change.expect is not None:
        words = f"{words}: {expectation_text(expectation_members(change.expect))}"
        return f"{words} ({change.note})" if change.note else words
    reason = change.note or (_own_reason(change, before) if change.actor == RECORDER_ACTOR else None)
    return f"{words}: {reason}" if reason else words


def _own_reason(change: WatchChange, before: WatchChange | None) -> str | None:
    if change.action is Action.GONE:
        return "the provider reports no such group"
    if change.action is Action.RETIRED:
        return "settled, and unchanged for a long time"
    came_back = change.action is Action.RESUMED and before is not None and before.action is Action.GONE
    return "the provider reports it again" if came_back else None


def _at_first(now: ReportedStatus) -> Iterator[str]:
    counts, message = now.status.get(_COUNTS), now.status.get(_MESSAGE)
    if isinstance(counts, dict):
        nonzero = [(name, count) for name, count in counts.items() if not _same(count, 0)]
        yield ", ".join(f"{_text(count)} {_short(name)}" for name, count in nonzero) or "no runs"
    else:
        yield f"{_COUNTS} {_text(now.status.get(_COUNTS, _ABSENT))}"
    if message is not None:
        yield f"message {_text(message)}"


def _changes(before: ReportedStatus, now: ReportedStatus) -> Iterator[str]:
    """Describe each change; `modified_at` nearly always changes, so it is named only if nothing else is."""
    found = [
        *_phase_changes(before, now),
        *_run_changes(before.status, now.status),
        *_activity_changes(before, now),
        *_message_changes(before.status, now.status),
        *_other_changes(before.status, now.status, _DESCRIBED_STATUS_MEMBERS),
        *_metadata_changes(before.body, now.body),
        *_other_changes(before.body, now.body, _DESCRIBED_MEMBERS),
    ]
    yield from found
    if not found:
        yield from _member_changes(_MODIFIED, before.status, now.status)


def _phase_changes(before: ReportedStatus, now: ReportedStatus) -> Iterator[str]:
    if before.phase is not now.phase:
        yield f"from {before.phase} to {now.phase}"


def _run_changes(before: JsonObject, now: JsonObject) -> Iterator[str]:
    old, new = before.get(_COUNTS), now.get(_COUNTS)
    if isinstance(old, dict) and isinstance(new, dict):
        words = [word for name in {**new, **old} for word in _count_changes(name, old, new)]
        # Increases come before decreases.
        if words:
            yield ", ".join(sorted(words, key=lambda word: not word.startswith("+")))
    else:
        yield from _member_changes(_COUNTS, before, now)
    yield from _total_changes(before, now)


def _count_changes(name: str, before: JsonObject, now: JsonObject) -> Iterator[str]:
    """Describe how a count changed; an absent one is taken as 0, unless the other one is 0."""
    old, new = before.get(name, 0), now.get(name, 0)
    if is_count(old) and is_count(new) and old != new:
        yield f"{new - old:+d} {_short(name)}"
    else:
        yield from _member_changes(name, before, now)


def _total_changes(before: JsonObject, now: JsonObject) -> Iterator[str]:
    old, new = before.get(_TOTAL), now.get(_TOTAL)
    if not is_count(old) or not is_count(new):
        yield from _member_changes(_TOTAL, before, now)
    elif old != new:
        yield f"{new - old:+d} run{'' if abs(new - old) == 1 else 's'} in all"


def _activity_changes(before: ReportedStatus, now: ReportedStatus) -> Iterator[str]:
    """Describe a change of `is_active`, unless the phase that was entered or left implies it."""
    if before.phase is now.phase or Phase.ACTIVE not in {before.phase, now.phase}:
        yield from _member_changes(_ACTIVE, before.status, now.status)


def _message_changes(before: JsonObject, now: JsonObject) -> Iterator[str]:
    old, new = before.get(_MESSAGE, _ABSENT), now.get(_MESSAGE, _ABSENT)
    if not _same(old, new):
        yield "message removed" if new is None else f"message {_text(new)}"


def _metadata_changes(before: JsonObject, now: JsonObject) -> Iterator[str]:
    old, new = before.get(_METADATA, _ABSENT), now.get(_METADATA, _ABSENT)
    if _same(old, new):
        return
    if not isinstance(old, dict) or not isinstance(new, dict):
        yield f"metadata {_text(new)}"
        return
    changed = [name for name in {**new, **old} if not _same(old.get(name, _ABSENT), new.get(name, _ABSENT))]
    names = [_short(name) for name in changed[:_MAX_NAMES]]
    more = [f"{len(changed) - _MAX_NAMES} more"] if len(changed) > _MAX_NAMES else []
    yield f"metadata changed ({', '.join([*names, *more])})"


def _other_changes(before: JsonObject, now: JsonObject, described: set[str]) -> Iterator[str]:
    for name in {**now, **before}:
        if name not in described:
            yield from _member_changes(name, before, now)


def _member_changes(name: str, before: JsonObject, now: JsonObject) -> Iterator[str]:
    old, new = before.get(name, _ABSENT), now.get(name, _ABSENT)
    if not _same(old, new):
        yield f"{_short(name)} {_text(new)}, was {_text(old)}"


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: numbers by value, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _text(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    return _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."
