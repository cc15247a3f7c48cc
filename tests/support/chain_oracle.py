"""A second implementation of the record and the chain, written from their description alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import rfc8785

from recorder.ledger.entries import Entry, Gap, StatusContent, WatchChange


def text_of(moment: datetime) -> str:
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def record_of(entry: Entry, raw: bytes | None = None) -> dict[str, Any]:
    """The record of `entry`; `raw` is the response, for a status entry."""
    record: dict[str, Any] = {
        "v": 1,
        "taskgroup_id": entry.taskgroup_id,
        "seq": entry.seq,
        "at": text_of(entry.at),
        "previous": None,
    }
    if entry.previous is not None:
        record["previous"] = {
            "last_asked_at": text_of(entry.previous.last_asked_at),
            "last_seen_at": text_of(entry.previous.last_seen_at),
            "polls": entry.previous.polls,
        }
    return record | _content(entry, raw)


def digest_of(previous: str, record: dict[str, Any]) -> str:
    return hashlib.sha256(bytes.fromhex(previous) + rfc8785.dumps(record)).hexdigest()


def assert_chained(entries: Sequence[Entry]) -> None:
    """Every entry's number and digest follow from the entry before it."""
    digest = "0" * 64
    for seq, entry in enumerate(entries, start=1):
        assert entry.seq == seq
        digest = digest_of(digest, record_of(entry))
        assert entry.digest == digest


def _content(entry: Entry, raw: bytes | None) -> dict[str, Any]:
    content = entry.content
    if isinstance(content, WatchChange):
        watch: dict[str, Any] = {
            "action": str(content.action),
            "actor": content.actor,
            "note": content.note,
        }
        if content.expect is not None:
            by = content.expect.by
            watch["expect"] = {"runs": content.expect.runs, "by": None if by is None else text_of(by)}
        return {"kind": "watch", "watch": watch}
    if isinstance(content, Gap):
        return {"kind": "gap", "gap": _gap(content)}
    return {"kind": "status", **_upstream(content, raw)}


def _gap(gap: Gap) -> dict[str, Any]:
    assert gap.to is not None
    return {
        "from": text_of(gap.from_),
        "to": text_of(gap.to),
        "cause": str(gap.cause),
        "attempts": gap.attempts,
        "unpolled_seconds": gap.unpolled_seconds,
        "http_status": gap.http_status,
        "detail": gap.detail,
    }


def _upstream(status: StatusContent, raw: bytes | None) -> dict[str, Any]:
    if status.body.text is not None:
        return {"upstream_text": status.body.text if raw is None else raw.decode()}
    return {"upstream": status.body.value if raw is None else json.loads(raw)}
