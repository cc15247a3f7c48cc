"""What the lines of a group's history say in words: what changed from one entry to the next. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from recorder.ledger.canonical import JsonObject
from recorder.ledger.entries import Action, Kind, WatchChange
from recorder.ledger.status_fields import Phase, is_count
from recorder.ledger.transitions import RECORDER_ACTOR

_ABSENT = object()
_MAX_TEXT = 60
_MAX_NAMES = 3

_AFTER = {Kind.GAP: "after the gap", Kind.WATCH: "after the break"}

_COUNTS, _TOTAL, _ACTIVE, _MESSAGE = "task_run_status_counts", "num_task_runs", "is_active", "status_message"
_MODIFIED, _METADATA, _STATUS = "modified_at", "metadata", "status"
_WORDED_STATUS_MEMBERS = {_COUNTS, _TOTAL, _ACTIVE, _MESSAGE, _MODIFIED}
_WORDED_MEMBERS = {_STATUS, _METADATA}


@dataclass(frozen=True, slots=True)
class Said:
    """What the upstream said: the response body, and the phase that it put the group in."""

    phase: Phase
    body: JsonObject

    @property
    def status(self) -> JsonObject:
        status: JsonObject = self.body[_STATUS]
        return status


def status_words(before: Said | None, said: Said, follows: Kind | None) -> str:
    """Say what changed from the status `before` (None: nothing was said before) to the one `said`.

    `follows` is the kind of the entry that `said` directly follows.
    """
    if before is None:
        return f"first seen: {'; '.join(_at_first(said))}"
    after = None if follows is None else _AFTER.get(follows)
    changes = list(_changes(before, said))
    if not changes and after is not None:
        return f"unchanged {after}"
    words = "; ".join(changes) or "changed in something that is not shown here"
    return words if after is None else f"{after}: {words}"


def watch_words(change: WatchChange, before: WatchChange | None) -> str:
    """Say what happened to the watch, who did it and why.

    `before` is the change that the entry directly before holds, None if that is of another kind.
    """
    words = f"{change.action} by {change.actor}"
    reason = change.note or (_own_reason(change, before) if change.actor == RECORDER_ACTOR else None)
    return f"{words}: {reason}" if reason else words


def _own_reason(change: WatchChange, before: WatchChange | None) -> str | None:
    if change.action is Action.GONE:
        return "the provider says that there is no such group"
    if change.action is Action.RETIRED:
        return "settled, and unchanged for long"
    came_back = change.action is Action.RESUMED and before is not None and before.action is Action.GONE
    return "the provider knows it again" if came_back else None


def _at_first(said: Said) -> Iterator[str]:
    counts, message = said.status.get(_COUNTS), said.status.get(_MESSAGE)
    if isinstance(counts, dict):
        said_counts = [(name, count) for name, count in counts.items() if not _same(count, 0)]
        yield ", ".join(f"{_text(count)} {_short(name)}" for name, count in said_counts) or "no runs"
    else:
        yield f"{_COUNTS} {_text(said.status.get(_COUNTS, _ABSENT))}"
    if message is not None:
        yield f"message {_text(message)}"


def _changes(before: Said, said: Said) -> Iterator[str]:
    """Each change in words; `modified_at` moves with nearly each: it is named only if nothing else is."""
    found = [
        *_phase_changes(before, said),
        *_run_changes(before.status, said.status),
        *_activity_changes(before, said),
        *_message_changes(before.status, said.status),
        *_other_changes(before.status, said.status, _WORDED_STATUS_MEMBERS),
        *_metadata_changes(before.body, said.body),
        *_other_changes(before.body, said.body, _WORDED_MEMBERS),
    ]
    yield from found
    if not found:
        yield from _member_changes(_MODIFIED, before.status, said.status)


def _phase_changes(before: Said, said: Said) -> Iterator[str]:
    if before.phase is not said.phase:
        yield f"from {before.phase} to {said.phase}"


def _run_changes(before: JsonObject, said: JsonObject) -> Iterator[str]:
    was, now = before.get(_COUNTS), said.get(_COUNTS)
    if isinstance(was, dict) and isinstance(now, dict):
        words = [word for name in {**now, **was} for word in _count_changes(name, was, now)]
        # What is more stands before what is less.
        if words:
            yield ", ".join(sorted(words, key=lambda word: not word.startswith("+")))
    else:
        yield from _member_changes(_COUNTS, before, said)
    yield from _total_changes(before, said)


def _count_changes(name: str, before: JsonObject, said: JsonObject) -> Iterator[str]:
    """How the count of a run status changed; an absent one counts as 0, unless 0 is what it was or is."""
    was, now = before.get(name, 0), said.get(name, 0)
    if is_count(was) and is_count(now) and was != now:
        yield f"{now - was:+d} {_short(name)}"
    else:
        yield from _member_changes(name, before, said)


def _total_changes(before: JsonObject, said: JsonObject) -> Iterator[str]:
    was, now = before.get(_TOTAL), said.get(_TOTAL)
    if not is_count(was) or not is_count(now):
        yield from _member_changes(_TOTAL, before, said)
    elif was != now:
        yield f"{now - was:+d} run{'' if abs(now - was) == 1 else 's'} in all"


def _activity_changes(before: Said, said: Said) -> Iterator[str]:
    """A phase that was entered or left says it for `is_active` too, if it is `active`."""
    if before.phase is said.phase or Phase.ACTIVE not in {before.phase, said.phase}:
        yield from _member_changes(_ACTIVE, before.status, said.status)


def _message_changes(before: JsonObject, said: JsonObject) -> Iterator[str]:
    was, now = before.get(_MESSAGE, _ABSENT), said.get(_MESSAGE, _ABSENT)
    if not _same(was, now):
        yield "message gone" if now is None else f"message {_text(now)}"


def _metadata_changes(before: JsonObject, said: JsonObject) -> Iterator[str]:
    was, now = before.get(_METADATA, _ABSENT), said.get(_METADATA, _ABSENT)
    if _same(was, now):
        return
    if not isinstance(was, dict) or not isinstance(now, dict):
        yield f"metadata {_text(now)}"
        return
    changed = [name for name in {**now, **was} if not _same(was.get(name, _ABSENT), now.get(name, _ABSENT))]
    names = [_short(name) for name in changed[:_MAX_NAMES]]
    more = [f"{len(changed) - _MAX_NAMES} more"] if len(changed) > _MAX_NAMES else []
    yield f"metadata changed ({', '.join([*names, *more])})"


def _other_changes(before: JsonObject, said: JsonObject, worded: set[str]) -> Iterator[str]:
    for name in {**said, **before}:
        if name not in worded:
            yield from _member_changes(name, before, said)


def _member_changes(name: str, before: JsonObject, said: JsonObject) -> Iterator[str]:
    was, now = before.get(name, _ABSENT), said.get(name, _ABSENT)
    if not _same(was, now):
        yield f"{_short(name)} {_text(now)}, was {_text(was)}"


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: numbers by value, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _text(value: Any) -> str:
    if value is _ABSENT:
        return "not said"
    return _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."
