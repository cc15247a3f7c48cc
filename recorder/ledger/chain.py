"""The record of an entry, and the digest that chains it to the entry before.

digest = SHA-256(digest of the previous entry (32 bytes, zeros for the first) ‖ RFC 8785 form of the record),
in lower-case hex.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from recorder.ledger.canonical import canonical
from recorder.ledger.entries import Expectation, Gap, Interval, Kind, StatusContent, WatchChange
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.timestamps import format_time

VERSION = 1
GENESIS = "0" * 64
"""The digest that the first entry follows."""


def record_of(
    *,
    taskgroup_id: str,
    seq: int,
    at: datetime,
    previous: Interval | None,
    content: StatusContent | Gap | WatchChange,
) -> dict[str, Any]:
    """Return the record of an entry: everything that its digest covers, as JSON values. Of a status, that is
    the body alone."""
    members = None if previous is None else interval_members(previous)
    covered = content.body if isinstance(content, StatusContent) else content
    return record_of_texts(
        taskgroup_id=taskgroup_id, seq=seq, at=format_time(at), previous=members, content=covered
    )


def record_of_texts(
    *,
    taskgroup_id: str,
    seq: int,
    at: str,
    previous: dict[str, Any] | None,
    content: ResponseBody | Gap | WatchChange,
) -> dict[str, Any]:
    """Return the record of an entry whose times are texts already; `previous` has the members of its
    interval."""
    kind, members = _content_members(content)
    return {
        "v": VERSION,
        "taskgroup_id": taskgroup_id,
        "seq": seq,
        "kind": kind.value,
        "at": at,
        "previous": previous,
        **members,
    }


def digest_of(previous_digest: str, record: dict[str, Any]) -> str:
    """Return the digest of the entry with `record` that follows the one with `previous_digest`."""
    return sha256(bytes.fromhex(previous_digest) + canonical(record)).hexdigest()


def interval_members(interval: Interval) -> dict[str, Any]:
    return {
        "last_asked_at": format_time(interval.last_asked_at),
        "last_seen_at": format_time(interval.last_seen_at),
        "polls": interval.polls,
    }


def gap_members(gap: Gap) -> dict[str, Any]:
    return {
        "from": format_time(gap.from_),
        "to": None if gap.to is None else format_time(gap.to),
        "cause": gap.cause.value,
        "attempts": gap.attempts,
        "unpolled_seconds": gap.unpolled_seconds,
        "http_status": gap.http_status,
        "detail": gap.detail,
    }


def watch_members(change: WatchChange) -> dict[str, Any]:
    members: dict[str, Any] = {"action": change.action.value, "actor": change.actor, "note": change.note}
    if change.expect is not None:
        members["expect"] = expectation_members(change.expect)
    return members


def expectation_members(expected: Expectation) -> dict[str, Any]:
    by = expected.by
    return {"runs": expected.runs, "by": None if by is None else format_time(by)}


def _content_members(content: ResponseBody | Gap | WatchChange) -> tuple[Kind, dict[str, Any]]:
    if isinstance(content, Gap):
        return Kind.GAP, {"gap": gap_members(content)}
    if isinstance(content, WatchChange):
        return Kind.WATCH, {"watch": watch_members(content)}
    if content.text is not None:
        return Kind.STATUS, {"upstream_text": content.text}
    return Kind.STATUS, {"upstream": content.value}
