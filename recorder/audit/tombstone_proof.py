"""What a tombstone proves: the head of its ledger, and the derived rows that stay. Pure.

Rows are raw: their times are texts in the recorder's own form.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from recorder.ledger.canonical import canonical

RawRows = Iterable[Mapping[Any, Any]]

_VERSION = 1
_TOMBSTONE = (
    *("taskgroup_id", "head_seq", "head_digest", "entries", "first_at", "last_at"),
    *("archived_at", "archive_sha256", "watch", "kept"),
)
# Existing tombstones cover these columns, so none is added: a new one needs a new version.
_SUMMARY = ("seq", "rules", "created_at", "standing_seq", "standing_since", "summary")
_EPISODE = (
    *("number", "started_at", "started_earliest", "started_latest", "started_basis"),
    *("completed_at", "completed_earliest", "completed_latest", "completed_basis"),
    *("duration_seconds", "duration_earliest_seconds", "duration_latest_seconds", "seen_seq", "seen_at"),
    *("first_sight", "outcome", "runs_total", "runs_completed", "runs_failed", "runs_cancelled"),
    *("gap_seconds", "polls"),
)
_MILESTONE = (
    *("episode", "fraction", "runs", "at", "earliest", "latest", "basis"),
    *("seconds", "seconds_earliest", "seconds_latest"),
)
_LABEL = ("key", "value", "long_value", "name", "text", "type")


def kept_digest(summaries: RawRows, episodes: RawRows, milestones: RawRows, labels: RawRows) -> str:
    """Return the digest of a group's derived rows, in lower-case hex, whatever the order of each table's."""
    parts = ((_SUMMARY, summaries), (_EPISODE, episodes), (_MILESTONE, milestones), (_LABEL, labels))
    texts = [
        sorted(json.dumps([_number(row[name]) for name in names]) for row in rows) for names, rows in parts
    ]
    return sha256(json.dumps(texts).encode()).hexdigest()


def tombstone_digest(row: Mapping[Any, Any]) -> str:
    """Return the digest of a tombstone, in lower-case hex, from its other columns.

    Raises:
        ValueError: a column holds what no tombstone does.
    """
    record = {"v": _VERSION, **{name: row[name] for name in _TOMBSTONE}}
    return sha256(canonical(record)).hexdigest()


def _number(value: Any) -> Any:
    """Return a flag as the number that SQLite has for it."""
    return int(value) if isinstance(value, bool) else value
