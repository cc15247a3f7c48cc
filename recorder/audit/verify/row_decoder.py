"""A stored entry read back exactly, and whether its columns say what its body says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from recorder.audit.verify.raw_rows import RawRow
from recorder.ledger.anomalies import Anomaly
from recorder.ledger.body_columns import encode
from recorder.ledger.canonical import NotCanonicalError, canonical
from recorder.ledger.chain import record_of
from recorder.ledger.entries import Entry, StatusContent
from recorder.ledger.replay import Replay, status_said
from recorder.ledger.status_fields import RULES, RUN_STATUSES, Phase
from recorder.ledger.timestamps import format_time, parse_time
from recorder.store.mapping import entry_of

UNDECODABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a row back may raise that never was an entry."""

OUR_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)

_MOST_SHOWN = 80

PREVIOUS = ("previous_last_asked_at", "previous_last_seen_at", "previous_polls")
_READ = (
    *("num_task_runs", *RUN_STATUSES, "is_active", "status_message", "modified_at", "metadata"),
    "created_at",
)
_TIMES = ("at", *PREVIOUS[:2], "modified_at", "created_at", "gap_from")
_OF_KIND = {
    "status": (*_READ, "phase", "anomalies", "extra", "rules"),
    "gap": tuple(
        f"gap_{name}" for name in ("from", "cause", "attempts", "unpolled_seconds", "http_status", "detail")
    ),
    "watch": ("watch_action", "watch_actor", "watch_note"),
}
_FOREIGN = {
    kind: tuple(name for other, names in _OF_KIND.items() if other != kind for name in names)
    for kind in _OF_KIND
}
_FROM_BEFORE = frozenset({Anomaly.COUNTS_DECREASED, Anomaly.MODIFIED_AT_REGRESSED, Anomaly.CLOCK_REGRESSED})
"""Anomalies that rest on what the entries before say."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as its row says, with the record that its digest is to prove."""

    entry: Entry
    record: dict[str, Any]


def read_stored(row: RawRow) -> Stored:
    """Read a row of `entries`; of a status, phase and anomalies are not read.

    Raises:
        one of UNDECODABLE: the row is none that an entry was ever written as.
    """
    typed = SimpleNamespace(**row)
    for name in _TIMES:
        setattr(typed, name, moment_of(row[name]))
    if row["kind"] not in _OF_KIND:
        raise ValueError(f"kind {row['kind']!r}")
    if row["is_active"] in {0, 1}:
        typed.is_active = bool(row["is_active"])
    typed.phase, typed.anomalies = Phase.UNCLEAR, "[]"
    entry = entry_of(cast(Any, typed))
    record = record_of(
        taskgroup_id=entry.taskgroup_id,
        seq=entry.seq,
        at=entry.at,
        previous=entry.previous,
        content=entry.content,
    )
    return Stored(entry, record)


def moment_of(text: Any) -> datetime | None:
    """Read a time of ours.

    Raises:
        ValueError: it is none, or in another form.
    """
    if text is None:
        return None
    if not isinstance(text, str) or not OUR_TIME.fullmatch(text):
        raise ValueError(f"not a time of ours: {text!r}")
    return parse_time(text)


def with_derived(row: RawRow, entry: Entry, replay: Replay, *, intact: bool) -> tuple[Entry, list[str]]:
    """Return a proven entry with what the rules derive from it, and in words what its columns say else.

    `replay` is what the entries before say; where they are not `intact`, what rests on them is not judged.
    """
    wrong = [f"{name} is {printable(row[name])}, should be null" for name in _set_columns(row, entry)]
    if not isinstance(entry.content, StatusContent):
        return entry, wrong
    reading, extra = encode(entry.taskgroup_id, entry.content.body)
    columns = {**asdict(reading), "extra": extra}
    for name in _READ:
        value = columns[name]
        wrong += differing(name, row[name], format_time(value) if isinstance(value, datetime) else value)
    if not _same_json(row["extra"], extra):
        wrong.append("extra is not what the body is kept as")
    said, more = _derived(row, entry, replay, intact=intact)
    return replace(entry, content=said), wrong + more


def differing(name: str, stored: Any, right: Any) -> list[str]:
    """Say how a stored value differs from the right one, if it does."""
    return [] if stored == right else [f"{name} is {printable(stored)}, should be {printable(right)}"]


def printable(value: Any) -> str:
    """Return a stored value for people: one line, and not too long a one."""
    text = "null" if value is None else ascii(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _derived(row: RawRow, entry: Entry, replay: Replay, *, intact: bool) -> tuple[StatusContent, list[str]]:
    body = cast(StatusContent, entry.content).body
    said = status_said(replay, entry.taskgroup_id, body, entry.at, entry.previous)
    if type(row["rules"]) is not int or not 1 <= row["rules"] <= RULES:
        return said, [f"rules is {printable(row['rules'])}, a version that there never was"]
    if row["rules"] == RULES:
        wrong = differing("phase", row["phase"], said.reading.phase.value)
        return said, wrong + _wrong_anomalies(row["anomalies"], said, intact=intact)
    try:
        phase = Phase(row["phase"])
        anomalies = tuple(Anomaly(name) for name in json.loads(row["anomalies"]))
    except UNDECODABLE:
        return said, ["phase or anomalies cannot be read"]
    return StatusContent(body, replace(said.reading, phase=phase), anomalies, row["rules"]), []


def _wrong_anomalies(stored: Any, said: StatusContent, *, intact: bool) -> list[str]:
    if intact:
        return differing("anomalies", stored, json.dumps(said.anomalies))
    try:
        found = set(json.loads(stored)) - _FROM_BEFORE
    except UNDECODABLE:
        return ["anomalies cannot be read"]
    return [] if found == set(said.anomalies) - _FROM_BEFORE else [f"anomalies is {printable(stored)}"]


def _set_columns(row: RawRow, entry: Entry) -> Iterator[str]:
    """The columns that must be NULL, and are not."""
    foreign = _FOREIGN[entry.kind.value]
    for name in foreign if entry.previous is not None else (*PREVIOUS, *foreign):
        if row[name] is not None:
            yield name


def _same_json(stored: str | None, right: str | None) -> bool:
    if stored is None or right is None:
        return stored is right
    try:
        return canonical(json.loads(stored)) == canonical(json.loads(right))
    except (NotCanonicalError, *UNDECODABLE):
        return False
