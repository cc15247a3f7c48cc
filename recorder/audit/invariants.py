"""Reject what no recorder writes, even if its digest follows. Exports and databases are checked alike.

Pure. Each function raises ValueError with a message for people; values may be of any type.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from recorder.ledger.entries import (
    MOST_RUNS,
    Action,
    Gap,
    Interval,
    Kind,
    StatusContent,
    WatchChange,
)
from recorder.ledger.group_id import check_taskgroup_id
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.watch import WatchState

_MOST = 2**63 - 1


def check_id(taskgroup_id: str) -> None:
    """Reject an invalid group id."""
    try:
        check_taskgroup_id(taskgroup_id)
    except ValueError as error:
        raise ValueError(f"taskgroup_id {taskgroup_id[:80]!a} {error}") from None


def check_content(seq: int, content: StatusContent | ResponseBody | Gap | WatchChange) -> None:
    """Reject content that the entry `seq` of a ledger cannot have."""
    if (seq == 1) != (isinstance(content, WatchChange) and content.action is Action.STARTED):
        raise ValueError("a ledger begins with started, which comes no second time")
    if isinstance(content, WatchChange):
        check_text(content.actor, "actor")
        check_text_or_none(content.note, "note")
        _check_remark(content)
    elif isinstance(content, Gap):
        _check_gap(content)


def check_interval(interval: Interval | None, kind: Kind | None, at: datetime | None, what: str) -> None:
    """Reject an interval that cannot be that of the entry before, which is of `kind` and has the time `at`.

    Both are None if there is no entry before.
    """
    check_is_of_status(interval is not None, kind, what)
    if interval is None or at is None:
        return
    check_count(interval.polls, "polls", 1)
    if interval.last_seen_at < at:
        raise ValueError(f"{what} ends before its status was first seen")


def check_is_of_status(there: bool, kind: Kind | None, what: str) -> None:
    """Reject an interval without a status before it, and a status without its interval."""
    if there != (kind is Kind.STATUS):
        raise ValueError(f"{what} is there exactly if the entry before is a status")


def check_due(due_at: datetime | None, state: WatchState) -> None:
    """Reject a group that is watched without a due time, or not watched with one."""
    if (due_at is not None) != (state is WatchState.WATCHING):
        raise ValueError("due_at is that of a group that is watched, and null for any other")


def check_count(value: Any, what: str, least: int) -> int:
    """Return `value` if it is a whole number of at least `least` that both databases can hold."""
    if type(value) is not int or not least <= value <= _MOST:
        raise ValueError(f"{what} must be a whole number, {least} or more, of 63 bits at most")
    return value


def check_text(value: Any, what: str) -> str:
    """Return `value` if it is text that both databases can hold."""
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a text")
    if "\0" in value:
        raise ValueError(f"{what} must be a text without U+0000, which databases cannot hold")
    return value


def check_text_or_none(value: Any, what: str) -> None:
    if value is not None:
        check_text(value, what)


def _check_remark(change: WatchChange) -> None:
    if change.action is Action.NOTED and change.note is None:
        raise ValueError("an entry noted has a note")
    if (change.action is Action.EXPECTED) != (change.expect is not None):
        raise ValueError("expect is there exactly if the action is expected")
    runs = None if change.expect is None else change.expect.runs
    if runs is not None and check_count(runs, "runs", 1) > MOST_RUNS:
        raise ValueError(f"runs must be {MOST_RUNS} at most")


def _check_gap(gap: Gap) -> None:
    if gap.to is not None and gap.from_ > gap.to:
        raise ValueError("a gap does not end before it began")
    if type(gap.unpolled_seconds) not in {int, float} or gap.unpolled_seconds < 0:
        raise ValueError("unpolled_seconds must be a number, 0 or more")
    if gap.http_status is not None and check_count(gap.http_status, "http_status", 100) > 999:
        raise ValueError("http_status must be a number of three digits")
    check_count(gap.attempts, "attempts", 0)
    check_text_or_none(gap.detail, "detail")
