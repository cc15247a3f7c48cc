"""The status at a moment in the past, and samples at even steps: parameters and answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import InitErrorDetails
from sqlalchemy import Connection

from recorder.ledger.chain import gap_members
from recorder.ledger.entries import Gap, Kind
from recorder.ledger.timeline import Certainty, Known, Mark, sampled_of
from recorder.ledger.timestamps import format_time
from recorder.ledger.transitions import open_gap
from recorder.queries.formats import Format
from recorder.queries.history import HistoryQuery, item_body
from recorder.queries.params import ExportQuery, Query, TimeParam, complaint, error_of
from recorder.store.groups import GroupItem
from recorder.store.history import Item, find_entries
from recorder.store.timeline import extent_of, read_timeline, seqs_at, seqs_between

MAX_SAMPLES = 10_000


MAX_SAMPLED_ENTRIES = 100_000
"""Samples are told by all the entries of their stretch, which are held in memory meanwhile."""


LEAST_STEP = 0.001


_OTHER_KINDS = {kind.value for kind in Kind if kind is not Kind.STATUS}


_STATUS_ONLY = "does not go with csv, which has status entries only; ndjson has all kinds"


_WITH_STEP = {"from_", "to", "step", "format"}


def _step(text: object) -> timedelta:
    if isinstance(text, timedelta):
        return text
    try:
        seconds = float(str(text)) if str(text).isascii() else 0.0
    except ValueError:
        seconds = 0.0
    if not LEAST_STEP <= seconds <= timedelta(days=36525).total_seconds():
        raise complaint("is not a number of seconds, such as 60, from 0.001 to 3155760000")
    return timedelta(seconds=seconds)


StepParam = Annotated[
    timedelta | None,
    BeforeValidator(_step),
    WithJsonSchema({"type": "number", "minimum": LEAST_STEP, "maximum": 3155760000}),
]


class StatusQuery(Query):
    """At which moment to tell a group's status."""

    at: TimeParam = Field(
        None, description="this moment of the past, with how certain the answer is; without it, the latest"
    )


class HistoryOrSamplesQuery(ExportQuery, HistoryQuery):
    """Which entries of a group's history to list, or at which steps to sample it."""

    step: StepParam = Field(
        None,
        description="instead of entries, a sample every so many seconds, at most 10,000 and of a stretch of "
        "at most 100,000 entries; from the first entry to the newest unless `from` and `to` say else",
    )

    @classmethod
    def _gathered(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        gathered, errors = super()._gathered(given)
        others = _OTHER_KINDS.intersection(str(gathered.get("kind")).split(","))
        if gathered.get("format") == Format.CSV and others:
            errors.append(error_of(("kind",), gathered.pop("kind"), _STATUS_ONLY))
        return gathered, errors

    @field_validator("step")
    @classmethod
    def _alone(cls, step: Any, info: ValidationInfo) -> Any:
        given = [
            name
            for name, value in info.data.items()
            if name not in _WITH_STEP and value != cls.model_fields[name].default
        ]
        if step is not None and given:
            raise complaint(f"does not go with {', '.join(given)}: samples are not paged, and of no kind")
        return step


_STATUS = ("phase", "status", "seq", "observed_at", "last_seen_at", "polls", "anomalies", "digest")


_INSTANT = timedelta(microseconds=1)


_TOLD = (Certainty.OBSERVED, Certainty.BETWEEN, Certainty.OPEN)


READ_AT_ONCE = 100
"""An entry comes with its metadata, which samples do not show and which may be large."""


class BadMomentError(ValueError):
    """A moment or a step cannot be answered for; `location` is the parameter, the text says why."""

    def __init__(self, location: str, message: str) -> None:
        super().__init__(message)
        self.location = location


def require_past(at: datetime, now: datetime) -> None:
    """Refuse a moment of which nobody can tell yet.

    Raises:
        BadMomentError: it is in the future.
    """
    if at > now:
        raise BadMomentError("at", f"lies in the future: it is {format_time(now)} now")


def status_at_answer(connection: Connection, group: GroupItem, at: datetime, now: datetime) -> dict[str, Any]:
    """Return a group's status at a moment, and how certain it is.

    Raises:
        BadMomentError: the moment is in the future.
    """
    require_past(at, now)
    taskgroup_id = group.watch.taskgroup_id
    _, timeline = read_timeline(connection, group.watch, seqs_at(connection, group.watch, at), now)
    known = timeline.at(at)
    seqs = [seq for seq in (known.seq, known.next_seq, known.gap_seq) if seq is not None]
    found = find_entries(connection, taskgroup_id, seqs)
    status, following = _item(found, known.seq), _item(found, known.next_seq)
    return {
        "taskgroup_id": taskgroup_id,
        **{name: status[name] if status else None for name in _STATUS},
        "certainty": known.certainty.value,
        "next_status": following["status"] if following else None,
        "gap": _gap_body(group, known, found, now),
    }


def samples_answer(
    connection: Connection,
    group: GroupItem,
    since: datetime | None,
    until: datetime | None,
    step: timedelta,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Return a group at every step from `since` on, before `until` and not in the future.

    Raises:
        BadMomentError: it would be too many samples, or samples of too many entries.
    """
    taskgroup_id = group.watch.taskgroup_id
    first, last = extent_of(connection, taskgroup_id)
    start = first if since is None else since
    # The newest entry is shown too; a moment that somebody names as the end is not.
    end = min(last + _INSTANT if until is None else until, now + _INSTANT)
    moments = _moments(start, end, step)
    if not moments:
        return {"items": [], "next": None}
    seqs = _seqs_of(connection, group, moments, step)
    marks, timeline = read_timeline(connection, group.watch, seqs, now)
    known = [timeline.at(moment) for moment in moments]
    happened = sampled_of([*marks, *_open_mark(group, now)], moments[0], step, len(moments))
    told = {one.seq for one in known if one.seq is not None and one.certainty in _TOLD}
    statuses = _statuses(connection, taskgroup_id, told)
    return {
        "items": [
            {
                "at": format_time(moment),
                "certainty": one.certainty.value,
                **_said(statuses, one),
                "changes": changes,
                "gap_seconds": gap_seconds,
            }
            for moment, one, (changes, gap_seconds) in zip(moments, known, happened, strict=True)
        ],
        "next": None,
    }


def _statuses(connection: Connection, taskgroup_id: str, seqs: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return the phase and the status of status entries, by their numbers."""
    statuses, ordered = {}, sorted(seqs)
    for place in range(0, len(ordered), READ_AT_ONCE):
        found = find_entries(connection, taskgroup_id, ordered[place : place + READ_AT_ONCE])
        for seq, item in found.items():
            body = item_body(item)
            statuses[seq] = {"phase": body["phase"], "status": body["status"]}
    return statuses


def _said(statuses: dict[int, dict[str, Any]], known: Known) -> dict[str, Any]:
    said = statuses.get(known.seq or 0) if known.certainty in _TOLD else None
    return said or {"phase": None, "status": None}


def _seqs_of(connection: Connection, group: GroupItem, moments: Sequence[datetime], step: timedelta) -> range:
    """Return the numbers of the entries that samples at `moments` need."""
    end = moments[-1] + step
    seqs = seqs_between(connection, group.watch, moments[0], end)
    if len(seqs) > MAX_SAMPLED_ENTRIES:
        raise BadMomentError(
            "from" if len(moments) > 1 else "step",
            f"gives a stretch of {len(seqs):,} entries, {format_time(moments[0])} to {format_time(end)}, "
            f"and at most {MAX_SAMPLED_ENTRIES:,} are sampled at once: take a shorter one",
        )
    return seqs


def _moments(start: datetime, end: datetime, step: timedelta) -> Sequence[datetime]:
    count = max(0, ceil((end - start) / step))
    if count > MAX_SAMPLES:
        least = ceil((end - start).total_seconds() / MAX_SAMPLES)
        raise BadMomentError(
            "step", f"gives {count:,} samples, and at most {MAX_SAMPLES:,} are given: take {least} or more"
        )
    return [start + step * number for number in range(count)]


def _open_mark(group: GroupItem, now: datetime) -> list[Mark]:
    gap = open_gap(group.watch, now)
    return [] if gap is None else [Mark(group.watch.head.seq + 1, Kind.GAP, gap.from_, now)]


def _item(found: dict[int, Item], seq: int | None) -> dict[str, Any] | None:
    return None if seq is None else item_body(found[seq])


def _gap_body(group: GroupItem, known: Known, found: dict[int, Item], now: datetime) -> dict[str, Any] | None:
    if known.certainty is not Certainty.GAP:
        return None
    gap = open_gap(group.watch, now) if known.gap_seq is None else found[known.gap_seq].content
    return gap_members(gap) if isinstance(gap, Gap) else None
