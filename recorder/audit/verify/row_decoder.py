"""Decode a stored entry exactly as it lies in the database, and check its columns against its body."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, cast

import orjson

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.body_columns import decode_columns, extra_of
from recorder.ledger.canonical import NotCanonicalError, canonical
from recorder.ledger.chain import record_of_texts
from recorder.ledger.entries import Entry, Gap, Interval, Kind, StatusContent, WatchChange
from recorder.ledger.replay import Replay, derive_status
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import RULES, STATUS_COLUMNS, Phase, StatusFields
from recorder.ledger.timestamps import format_time, parse_our_time
from recorder.store.mapping import anomalies_text, gap_of, watch_change_of
from recorder.store.tables import entries

EntryRow = Sequence[Any]
"""The values of a row of `entries`, in the order of its columns."""

UNDECODABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What decoding a row may raise if no entry was ever stored as it."""

_MOST_SHOWN = 80

_NAMES = tuple(column.name for column in entries.c)
_PREVIOUS = ("previous_last_asked_at", "previous_last_seen_at", "previous_polls")
_INTERVAL = ("last_asked_at", "last_seen_at", "polls")
_COMMON = ("taskgroup_id", "seq", "kind", "at", *_PREVIOUS)
_OF_KIND = {
    Kind.STATUS: (*STATUS_COLUMNS, "phase", "anomalies", "extra", "rules"),
    Kind.GAP: tuple(name for name in _NAMES if name.startswith("gap_")),
    Kind.WATCH: tuple(name for name in _NAMES if name.startswith(("watch_", "expect_"))),
}
_FOREIGN = {
    kind: tuple(name for other, names in _OF_KIND.items() if other is not kind for name in names)
    for kind in _OF_KIND
}
_IS_ACTIVE, _MODIFIED_AT, _CREATED_AT = map(STATUS_COLUMNS.index, ("is_active", "modified_at", "created_at"))
_BOOLEANS = {0: False, 1: True}
_KINDS = {kind.value: kind for kind in Kind}
_FROM_BEFORE = frozenset({Anomaly.COUNTS_DECREASED, Anomaly.MODIFIED_AT_REGRESSED, Anomaly.CLOCK_REGRESSED})
"""Anomalies that depend on the entries before."""


def _by_name(row: EntryRow) -> dict[str, Any]:
    return dict(zip(_NAMES, row, strict=True))


def _values_of(names: tuple[str, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    return itemgetter(*map(_NAMES.index, names))


_common_values = _values_of((*_COMMON, "extra", "gap_from"))
_status_values = _values_of(STATUS_COLUMNS)
_derived_values = _values_of(("phase", "anomalies", "extra", "rules"))
_foreign_values = {kind: _values_of(names) for kind, names in _FOREIGN.items()}
_NO_VALUES = {kind: (None,) * len(names) for kind, names in _FOREIGN.items()}


@dataclass(slots=True)
class StoredEntry:
    """An entry as its row has it, without what rules derive from its body.

    `record` is what its digest covers. `columns` are the values of STATUS_COLUMNS, with times and booleans as
    such.
    """

    taskgroup_id: str
    seq: int
    kind: Kind
    at: datetime
    previous: Interval | None
    content: ResponseBody | Gap | WatchChange
    columns: Sequence[Any]
    record: dict[str, Any]

    def form(self) -> bytes:
        """Return the canonical form of the record.

        Raises:
            NotCanonicalError: there is no such form.
        """
        content = self.content
        if isinstance(content, ResponseBody) and content.form is not None:
            # The form of the body is known already.
            return canonical({**self.record, "upstream": orjson.Fragment(content.form)})
        return canonical(self.record)


def read_stored(row: EntryRow) -> StoredEntry:
    """Decode a row of `entries`.

    Raises:
        one of UNDECODABLE: no entry was ever stored as this row.
    """
    taskgroup_id, seq, kind_name, at_text, asked_text, seen_text, polls, extra, gap_from_text = (
        _common_values(row)
    )
    at, asked, seen = moment_of(at_text), moment_of(asked_text), moment_of(seen_text)
    columns = list(_status_values(row))
    modified_at, created_at = moment_of(columns[_MODIFIED_AT]), moment_of(columns[_CREATED_AT])
    gap_from = moment_of(gap_from_text)
    kind = _KINDS.get(kind_name)
    if kind is None:
        raise ValueError(f"kind {kind_name!r}")
    if at is None or (polls is not None and (asked is None or seen is None)):
        raise ValueError("a time is missing")
    previous = None if polls is None or asked is None or seen is None else Interval(asked, seen, polls)
    content: ResponseBody | Gap | WatchChange
    if kind is Kind.STATUS:
        columns[_IS_ACTIVE] = _BOOLEANS.get(columns[_IS_ACTIVE], columns[_IS_ACTIVE])
        content = decode_columns(taskgroup_id, columns, extra)
        columns[_MODIFIED_AT], columns[_CREATED_AT] = modified_at, created_at
    else:
        values = _by_name(row)
        times = {"at": at, "gap_from": gap_from, "expect_by": moment_of(values["expect_by"])}
        typed = cast(Any, SimpleNamespace(**values | times))
        content = gap_of(typed) if kind is Kind.GAP else watch_change_of(typed)
    members = None if previous is None else dict(zip(_INTERVAL, (asked_text, seen_text, polls), strict=True))
    record = record_of_texts(
        taskgroup_id=taskgroup_id, seq=seq, at=at_text, previous=members, content=content
    )
    return StoredEntry(taskgroup_id, seq, kind, at, previous, content, tuple(columns), record)


def moment_of(text: Any) -> datetime | None:
    """Read a time as the recorder stores it.

    Raises:
        ValueError: it is none, or in another form.
    """
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"not a time of ours: {text!r}")
    return parse_our_time(text)


def derive_entry(
    row: EntryRow, stored: StoredEntry, replay: Replay, *, intact: bool
) -> tuple[Entry, list[str]]:
    """Return a proven entry with what the rules derive from it, and how its columns differ from that.

    `replay` is the state after the entries before. Unless they are `intact`, what depends on them is not
    checked.
    """
    wrong = _wrongly_set(row, stored)
    if isinstance(stored.content, ResponseBody):
        content, more = _derive_status(row, stored, stored.content, replay, intact=intact)
        wrong += more
    else:
        content = stored.content
    entry = Entry(stored.taskgroup_id, stored.seq, stored.at, stored.previous, content, row[-1])
    return entry, wrong


def differing(name: str, stored: Any, right: Any) -> list[str]:
    """Describe how a stored value differs from the right one, if it does."""
    return [] if stored == right else [f"{name} is {printable(stored)}, should be {printable(right)}"]


def printable(value: Any) -> str:
    """Return a stored value for people: one line of limited length."""
    text = "null" if value is None else ascii(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _derive_status(
    row: EntryRow, stored: StoredEntry, body: ResponseBody, replay: Replay, *, intact: bool
) -> tuple[StatusContent | Gap | WatchChange, list[str]]:
    content = derive_status(replay, stored.taskgroup_id, body, stored.at, stored.previous)
    phase, anomalies, extra, rules = _derived_values(row)
    if type(rules) is int and 1 <= rules < RULES:
        return _check_older_status(row, stored, body, content)
    wrong = []
    # A body that its columns alone rebuild needs no `extra` if they are the right ones.
    if extra is not None or not body.exact or stored.columns != content.fields.columns():
        wrong = _wrong_columns(row, content.fields) + _wrong_extra(stored, extra, body, content.fields)
    if type(rules) is not int or rules != RULES:
        return content, [*wrong, f"rules is {printable(rules)}, a version that never existed"]
    if phase != content.fields.phase:
        wrong += differing("phase", phase, content.fields.phase.value)
    return content, wrong + _wrong_anomalies(anomalies, content, intact=intact)


def _check_older_status(
    row: EntryRow, stored: StoredEntry, body: ResponseBody, present: StatusContent
) -> tuple[StatusContent, list[str]]:
    """Check a status that older rules wrote, and return it as they derived it.

    Older rules may not have had every column: what `present` has there is null in the row, and kept in
    `extra`. Phase and anomalies need only be readable.
    """
    phase, anomalies, extra, rules = _derived_values(row)
    known = [
        None if value is None else right
        for value, right in zip(stored.columns, present.fields.columns(), strict=True)
    ]
    total, *counts, is_active, message, modified_at, metadata, created_at = known
    fields = StatusFields(
        phase=present.fields.phase,
        num_task_runs=total,
        counts=tuple(counts),
        is_active=is_active,
        status_message=message,
        modified_at=modified_at,
        metadata=metadata,
        created_at=created_at,
    )
    wrong = _wrong_columns(row, fields) + _wrong_extra(stored, extra, body, fields)
    try:
        fields = replace(fields, phase=Phase(phase))
        return StatusContent(body, fields, tuple(map(Anomaly, json.loads(anomalies))), rules), wrong
    except UNDECODABLE:
        return present, [*wrong, "phase or anomalies cannot be read"]


def _wrong_extra(
    stored: StoredEntry, extra: str | None, body: ResponseBody, fields: StatusFields
) -> list[str]:
    if _same_json(extra, extra_of(stored.taskgroup_id, body, fields)):
        return []
    return ["extra is not what the body is kept as"]


def _wrong_columns(row: EntryRow, fields: StatusFields) -> list[str]:
    wrong = []
    for name, value, right in zip(STATUS_COLUMNS, _status_values(row), fields.columns(), strict=True):
        wrong += differing(name, value, format_time(right) if isinstance(right, datetime) else right)
    return wrong


def _wrong_anomalies(stored: Any, content: StatusContent, *, intact: bool) -> list[str]:
    if intact:
        return differing("anomalies", stored, anomalies_text(content.anomalies))
    try:
        found = set(json.loads(stored)) - _FROM_BEFORE
    except UNDECODABLE:
        return ["anomalies cannot be read"]
    return [] if found == set(content.anomalies) - _FROM_BEFORE else [f"anomalies is {printable(stored)}"]


def _wrongly_set(row: EntryRow, stored: StoredEntry) -> list[str]:
    """Describe the columns that must be NULL but are not."""
    names: tuple[str, ...] = () if stored.previous is not None else _PREVIOUS
    if _foreign_values[stored.kind](row) != _NO_VALUES[stored.kind]:
        names += _FOREIGN[stored.kind]
    if not names:
        return []
    values = _by_name(row)
    return [
        f"{name} is {printable(values[name])}, should be null" for name in names if values[name] is not None
    ]


def _same_json(stored: str | None, right: str | None) -> bool:
    if stored is None or right is None:
        return stored is right
    try:
        return canonical(json.loads(stored)) == canonical(json.loads(right))
    except (NotCanonicalError, *UNDECODABLE):
        return False
