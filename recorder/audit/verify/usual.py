"""The usual status entry, straight from its columns: most entries are such, and reading them so is fast.

Usual is a body that its columns say alone, of plain strings, whole numbers and names that RFC 8785 writes as
every JSON writer does. For any other entry there is the exact way, which comes to the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from recorder.audit.verify.row_decoder import OUR_TIME
from recorder.ledger.anomalies import Anomaly
from recorder.ledger.canonical import MAX_SAFE_INTEGER
from recorder.ledger.entries import Entry, Interval, StatusContent
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import RULES, RUN_STATUSES, Phase, Reading
from recorder.store.tables import entries

_NAMES = tuple(column.name for column in entries.c)
_OTHERS = slice(_NAMES.index("gap_from"), _NAMES.index("digest"))
_NO_OTHERS = (None,) * len(_NAMES[_OTHERS])
_COUNTS = slice(_NAMES.index(RUN_STATUSES[0]), _NAMES.index(RUN_STATUSES[-1]) + 1)
_BOOLEANS = {0: False, 1: True}


@dataclass(frozen=True, slots=True)
class Metadata:
    """Metadata by its text, with its canonical form."""

    text: str | None
    form: orjson.Fragment


@dataclass(frozen=True, slots=True)
class Before:
    """What of the entries before decides which anomalies a status has; None for what is not known."""

    finished: int | None
    modified_at: datetime | None
    sight_at: datetime | None


@dataclass(slots=True)
class Usual:
    """A usual status entry: what its digest is to prove, and what is read from it if that does.

    `phase` is that of the rules; `stored_phase` and `stored_anomalies` are what the row has. `upstream` is
    the body's canonical form. `counts` go by the order of the run statuses, None where one is absent;
    `finished` is how many runs have completed, failed or been cancelled.
    """

    form: bytes
    taskgroup_id: str
    seq: int
    at: datetime
    previous: Interval | None
    phase: Phase
    total: int
    counts: Sequence[int | None]
    finished: int
    active: bool
    message: str | None
    modified_at: datetime | None
    metadata: Metadata
    created_at: datetime | None
    upstream: bytes
    digest: Any
    stored_phase: Any
    stored_anomalies: Any

    def entry(self) -> Entry:
        """Return it as the exact way would read it; anomalies are left out."""
        reading = Reading(
            phase=self.phase,
            num_task_runs=self.total,
            **dict(zip(RUN_STATUSES, self.counts, strict=True)),
            is_active=self.active,
            status_message=self.message,
            modified_at=self.modified_at,
            metadata=self.metadata.text,
            created_at=self.created_at,
        )
        body = ResponseBody(json.loads(self.upstream), None, sha256(self.upstream).hexdigest())
        status = StatusContent(body, reading, (), RULES)
        return Entry(self.taskgroup_id, self.seq, self.at, self.previous, status, self.digest)


class UsualReader:
    """Reads rows of `entries` in the order of their columns."""

    def __init__(self) -> None:
        self._metadata = Metadata(None, orjson.Fragment(b"null"))

    def read(self, row: tuple[Any, ...]) -> Usual | None:
        """Read an entry; None if it is not a usual one."""
        taskgroup_id, seq, kind, at, asked, seen, polls, phase, total = row[:9]
        active, message, modified_at, metadata, created_at, anomalies, extra, rules = row[16:24]
        if kind != "status" or extra is not None or rules != RULES or row[_OTHERS] != _NO_OTHERS:
            return None
        counts, active = row[_COUNTS], _BOOLEANS.get(active)
        said = {name: count for name, count in zip(RUN_STATUSES, counts, strict=True) if count is not None}
        if active is None or not all(map(_whole, (total, *said.values()))):
            return None
        known = self._metadata if metadata == self._metadata.text else _read_metadata(metadata)
        if known is None:
            return None
        self._metadata = known
        try:
            began, created, modified = _time(at), _time(created_at), _time(modified_at)
            previous = _interval(asked, seen, polls)
            if began is None:
                return None
            status = {
                "num_task_runs": total,
                "task_run_status_counts": said,
                "is_active": active,
                "status_message": message,
                "modified_at": modified_at,
            }
            body = {"taskgroup_id": taskgroup_id, "metadata": known.form, "created_at": created_at}
            upstream = _dumps({**body, "status": status})
            held = previous and {"last_asked_at": asked, "last_seen_at": seen, "polls": polls}
            record = {"v": 1, "taskgroup_id": taskgroup_id, "seq": seq, "kind": kind, "at": at}
            form = _dumps({**record, "previous": held, "upstream": orjson.Fragment(upstream)})
        except (ValueError, TypeError):
            return None
        right = _phase(total, counts, active)
        finished = said.get("completed", 0) + said.get("failed", 0) + said.get("cancelled", 0)
        told = (total, counts, finished, active, message, modified, known, created, upstream)
        return Usual(form, taskgroup_id, seq, began, previous, right, *told, row[-1], phase, anomalies)


def anomalies_of_usual(usual: Usual, before: Before) -> list[Anomaly]:
    """Return the anomalies of a usual status."""
    queued, required, running, _, _, cancelling, _ = (count or 0 for count in usual.counts)
    finished = usual.finished
    found = []
    if finished + queued + required + running + cancelling != usual.total:
        found.append(Anomaly.COUNT_MISMATCH)
    if before.finished is not None and finished < before.finished:
        found.append(Anomaly.COUNTS_DECREASED)
    if (queued > 0 or running > 0 or cancelling > 0) is not usual.active:
        found.append(Anomaly.ACTIVE_MISMATCH)
    if before.modified_at is not None and usual.modified_at and usual.modified_at < before.modified_at:
        found.append(Anomaly.MODIFIED_AT_REGRESSED)
    sight_at = before.sight_at if usual.previous is None else usual.previous.last_seen_at
    if sight_at is not None and usual.at < sight_at:
        found.append(Anomaly.CLOCK_REGRESSED)
    return found


def _phase(total: int, counts: Sequence[int | None], active: bool) -> Phase:
    if active:
        return Phase.ACTIVE
    _, required, _, completed, failed, _, cancelled = (count or 0 for count in counts)
    if required > 0:
        return Phase.BLOCKED
    if total == 0 and not any(count is not None and count > 0 for count in counts):
        return Phase.EMPTY
    return Phase.SETTLED if completed + failed + cancelled == total > 0 else Phase.UNCLEAR


def _interval(asked: Any, seen: Any, polls: Any) -> Interval | None:
    if asked is None and seen is None and polls is None:
        return None
    if not _whole(polls):
        raise ValueError("not a number of polls")
    began, ended = _time(asked), _time(seen)
    if began is None or ended is None:
        raise ValueError("not an interval")
    return Interval(began, ended, polls)


def _time(text: Any) -> datetime | None:
    if text is None:
        return None
    if OUR_TIME.fullmatch(text) is None:
        raise ValueError("not a time of ours")
    return datetime.fromisoformat(text)


def _whole(value: Any) -> bool:
    return type(value) is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER


def _read_metadata(text: Any) -> Metadata | None:
    """Read metadata; None unless they are null, or strings, whole numbers and flags by ASCII names."""
    if text is None:
        return Metadata(None, orjson.Fragment(b"null"))
    try:
        value = json.loads(text)
        plain = isinstance(value, dict) and all(
            key.isascii() and (isinstance(item, str | bool) or _whole(item)) for key, item in value.items()
        )
        if not plain or json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")) != text:
            return None
        return Metadata(text, orjson.Fragment(_dumps(value)))
    except (ValueError, TypeError, RecursionError):
        return None


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
