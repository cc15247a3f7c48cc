"""The status at a moment in the past, and samples at regular steps: query parameters and answers."""

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
from recorder.ledger.watch import Watch
from recorder.queries.formats import Format
from recorder.queries.history import HistoryQuery, entry_body
from recorder.queries.param_types import TimeParam, complaint
from recorder.queries.query import ExportQuery, Query, error_of
from recorder.store.history import Item, find_entries
from recorder.store.timeline import extent_of, read_timeline, seqs_at, seqs_between

MAX_SAMPLES = 10_000
MAX_SAMPLED_ENTRIES = 100_000
"""Samples need all entries of their period in memory."""
MIN_STEP = 0.001
MAX_STEP = 36525 * 86400
READ_AT_ONCE = 100
"""Entries are read with their metadata, which may be large and is not part of samples."""

_OTHER_KINDS = {kind.value for kind in Kind if kind is not Kind.STATUS}
_CSV_HAS_STATUS_ONLY = "cannot be combined with csv, which has status entries only; ndjson has all kinds"
_COMBINES_WITH_STEP = {"from_", "to", "step", "format"}
_STATUS_MEMBERS = ("phase", "status", "seq", "observed_at", "last_seen_at", "polls", "anomalies", "digest")
_MICROSECOND = timedelta(microseconds=1)
_WITH_STATUS = (Certainty.OBSERVED, Certainty.BETWEEN, Certainty.OPEN)


class BadMomentError(ValueError):
    """A moment or step cannot be answered; `location` is the parameter, and the message gives the reason."""

    def __init__(self, location: str, message: str) -> None:
        super().__init__(message)
        self.location = location


def _step(text: object) -> timedelta:
    if isinstance(text, timedelta):
        return text
    try:
        seconds = float(str(text)) if str(text).isascii() else 0.0
    except ValueError:
        seconds = 0.0
    if not MIN_STEP <= seconds <= MAX_STEP:
        raise complaint(f"is not a number of seconds, such as 60, from {MIN_STEP} to {MAX_STEP}")
    return timedelta(seconds=seconds)


StepParam = Annotated[
    timedelta | None,
    BeforeValidator(_step),
    WithJsonSchema({"type": "number", "minimum": MIN_STEP, "maximum": MAX_STEP}),
]


class StatusQuery(Query):
    """The moment of a status."""

    at: TimeParam = Field(
        None, description="a moment in the past, answered with how certain it is; omitted: the latest status"
    )


class HistoryOrSamplesQuery(ExportQuery, HistoryQuery):
    """Which entries of a group's history to list, or at which steps to sample it."""

    step: StepParam = Field(
        None,
        description="return a sample every so many seconds instead of entries: at most 10,000 samples over "
        "at most 100,000 entries, from the first entry to the newest unless `from` and `to` are given",
    )

    @classmethod
    def _gathered(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        gathered, errors = super()._gathered(given)
        others = _OTHER_KINDS.intersection(str(gathered.get("kind")).split(","))
        if gathered.get("format") == Format.CSV and others:
            errors.append(error_of(("kind",), gathered.pop("kind"), _CSV_HAS_STATUS_ONLY))
        return gathered, errors

    @field_validator("step")
    @classmethod
    def _alone(cls, step: Any, info: ValidationInfo) -> Any:
        given = [
            name
            for name, value in info.data.items()
            if name not in _COMBINES_WITH_STEP and value != cls.model_fields[name].default
        ]
        if step is not None and given:
            raise complaint(f"cannot be combined with {', '.join(given)}: samples have no pages and no kinds")
        return step


def require_past(at: datetime, now: datetime) -> None:
    """Refuse a moment in the future.

    Raises:
        BadMomentError: it is in the future.
    """
    if at > now:
        raise BadMomentError("at", f"is in the future: it is {format_time(now)} now")


def status_at_answer(connection: Connection, watch: Watch, at: datetime, now: datetime) -> dict[str, Any]:
    """Return a group's status at a moment, and how certain it is.

    Raises:
        BadMomentError: the moment is in the future.
    """
    require_past(at, now)
    _, timeline = read_timeline(connection, watch, seqs_at(connection, watch, at), now)
    known = timeline.at(at)
    seqs = [seq for seq in (known.seq, known.next_seq, known.gap_seq) if seq is not None]
    entries = find_entries(connection, watch.taskgroup_id, seqs)
    status, next_status = _entry_body(entries, known.seq), _entry_body(entries, known.next_seq)
    return {
        "taskgroup_id": watch.taskgroup_id,
        **{name: status[name] if status else None for name in _STATUS_MEMBERS},
        "certainty": known.certainty.value,
        "next_status": next_status["status"] if next_status else None,
        "gap": _gap_body(watch, known, entries, now),
    }


def samples_answer(
    connection: Connection,
    watch: Watch,
    since: datetime | None,
    until: datetime | None,
    step: timedelta,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Return samples of a group every `step`, from `since` to before `until`, none in the future.

    Raises:
        BadMomentError: there would be too many samples, or they would need too many entries.
    """
    first, last = extent_of(connection, watch.taskgroup_id)
    start = first if since is None else since
    # By default the newest entry is sampled too; an `until` that was asked for is not.
    end = min(last + _MICROSECOND if until is None else until, now + _MICROSECOND)
    moments = _moments(start, end, step)
    if not moments:
        return {"items": [], "next": None}
    marks, timeline = read_timeline(connection, watch, _seqs_of(connection, watch, moments, step), now)
    known = [timeline.at(moment) for moment in moments]
    happened = sampled_of([*marks, *_open_mark(watch, now)], moments[0], step, len(moments))
    seqs = {one.seq for one in known if one.seq is not None and one.certainty in _WITH_STATUS}
    statuses = _statuses(connection, watch.taskgroup_id, seqs)
    return {
        "items": [
            {
                "at": format_time(moment),
                "certainty": one.certainty.value,
                **_sampled_status(statuses, one),
                "changes": changes,
                "gap_seconds": gap_seconds,
            }
            for moment, one, (changes, gap_seconds) in zip(moments, known, happened, strict=True)
        ],
        "next": None,
    }


def _statuses(connection: Connection, taskgroup_id: str, seqs: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return the phase and status of status entries, by entry number."""
    statuses, ordered = {}, sorted(seqs)
    for start in range(0, len(ordered), READ_AT_ONCE):
        entries = find_entries(connection, taskgroup_id, ordered[start : start + READ_AT_ONCE])
        for seq, item in entries.items():
            body = entry_body(item)
            statuses[seq] = {"phase": body["phase"], "status": body["status"]}
    return statuses


def _sampled_status(statuses: dict[int, dict[str, Any]], known: Known) -> dict[str, Any]:
    status = statuses.get(known.seq or 0) if known.certainty in _WITH_STATUS else None
    return status or {"phase": None, "status": None}


def _seqs_of(connection: Connection, watch: Watch, moments: Sequence[datetime], step: timedelta) -> range:
    """Return the numbers of the entries that samples at `moments` need."""
    end = moments[-1] + step
    seqs = seqs_between(connection, watch, moments[0], end)
    if len(seqs) > MAX_SAMPLED_ENTRIES:
        raise BadMomentError(
            "from" if len(moments) > 1 else "step",
            f"gives a stretch of {len(seqs):,} entries, {format_time(moments[0])} to {format_time(end)}; "
            f"at most {MAX_SAMPLED_ENTRIES:,} can be sampled at once, so choose a shorter one",
        )
    return seqs


def _moments(start: datetime, end: datetime, step: timedelta) -> Sequence[datetime]:
    count = max(0, ceil((end - start) / step))
    if count > MAX_SAMPLES:
        least = ceil((end - start).total_seconds() / MAX_SAMPLES)
        raise BadMomentError(
            "step", f"gives {count:,} samples, but at most {MAX_SAMPLES:,} are returned: use {least} or more"
        )
    return [start + step * number for number in range(count)]


def _open_mark(watch: Watch, now: datetime) -> list[Mark]:
    gap = open_gap(watch, now)
    return [] if gap is None else [Mark(watch.head.seq + 1, Kind.GAP, gap.from_, now)]


def _entry_body(entries: dict[int, Item], seq: int | None) -> dict[str, Any] | None:
    return None if seq is None else entry_body(entries[seq])


def _gap_body(watch: Watch, known: Known, entries: dict[int, Item], now: datetime) -> dict[str, Any] | None:
    if known.certainty is not Certainty.GAP:
        return None
    gap = open_gap(watch, now) if known.gap_seq is None else entries[known.gap_seq].content
    return gap_members(gap) if isinstance(gap, Gap) else None
