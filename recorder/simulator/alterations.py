"""Alterations: changes that scenes make to the body of an honest 200. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from recorder.ledger.timestamps import format_time, parse_time
from recorder.simulator.json_bodies import ABSENT, GroupBody, JsonLiteral, MemberPath, Patch
from recorder.simulator.runs import FINISHED, RunStatus
from recorder.simulator.scene_kinds import SceneKinds, number, text, whole_number
from recorder.simulator.scenes import Hit

Alteration = Callable[[GroupBody, Hit], Patch]
"""Returns what to change, given the honest body and the scene that hit the request."""

ALTERATIONS: SceneKinds[Alteration] = SceneKinds()
"""All alterations by name."""

_ACTIVE = ("status", "is_active")
_TOTAL = ("status", "num_task_runs")
_COUNTS = ("status", "task_run_status_counts")
_CREATED = ("created_at",)
_MODIFIED = ("status", "modified_at")
_MESSAGE = ("status", "status_message")
_INDIA = timezone(timedelta(hours=5, minutes=30))
_YEAR_SECONDS = 365 * 86_400
_ASTRAL = "\N{FAMILY} \N{MATHEMATICAL BOLD CAPITAL A} \N{GOTHIC LETTER AHSA}"
_NUL = "before\0after"
_OUTER_LEVELS = 2
"""The nesting levels of the body and its metadata."""

_add = ALTERATIONS.add


# Counts and the flag


@_add(
    "counts extra runs under an undocumented status",
    status=text("hibernating"),
    runs=whole_number(1, 0, 10**6),
)
def unknown_status(body: GroupBody, hit: Hit) -> Patch:
    return {(*_COUNTS, hit["status"]): hit["runs"], _TOTAL: body["status"]["num_task_runs"] + hit["runs"]}


@_add("has no counts")
def counts_absent(_body: GroupBody, _hit: Hit) -> Patch:
    return {_COUNTS: ABSENT}


@_add("has null for the counts")
def counts_null(_body: GroupBody, _hit: Hit) -> Patch:
    return {_COUNTS: None}


@_add("lacks the first count")
def count_absent(body: GroupBody, _: Hit) -> Patch:
    return {_first(body): ABSENT}


@_add("has null for the first count")
def count_null(body: GroupBody, _: Hit) -> Patch:
    return {_first(body): None}


@_add("has true for the first count")
def count_true(body: GroupBody, _: Hit) -> Patch:
    return {_first(body): True}


@_add("has the first count with a zero fraction, such as 1.0")
def count_fraction(body: GroupBody, _: Hit) -> Patch:
    first = _first(body)
    count = body["status"]["task_run_status_counts"].get(first[-1], 0)
    return {first: JsonLiteral(f"{count}.0")}


@_add("has a count of 0 for every status without runs")
def counts_zero(body: GroupBody, _: Hit) -> Patch:
    counts = body["status"]["task_run_status_counts"]
    return {(*_COUNTS, str(status)): 0 for status in RunStatus if str(status) not in counts}


@_add("counts all finished runs as running again")
def counts_fall(body: GroupBody, _: Hit) -> Patch:
    counts = body["status"]["task_run_status_counts"]
    ended = [str(status) for status in FINISHED if str(status) in counts]
    if not ended:
        return {}
    running = counts.get("running", 0) + sum(counts[status] for status in ended)
    removed: dict[MemberPath, object] = {(*_COUNTS, status): ABSENT for status in ended}
    return removed | {(*_COUNTS, "running"): running, _ACTIVE: True}


@_add("has a `num_task_runs` that is not the sum of the counts", by=whole_number(1, -(10**6), 10**6))
def counts_mismatch(body: GroupBody, hit: Hit) -> Patch:
    return {_TOTAL: body["status"]["num_task_runs"] + hit["by"]}


@_add("lacks `num_task_runs`")
def total_absent(_body: GroupBody, _hit: Hit) -> Patch:
    return {_TOTAL: ABSENT}


@_add("has `num_task_runs` as a string")
def total_text(body: GroupBody, _: Hit) -> Patch:
    return {_TOTAL: str(body["status"]["num_task_runs"])}


@_add("has an `is_active` that contradicts the counts")
def active_contradicts(body: GroupBody, _: Hit) -> Patch:
    return {_ACTIVE: not body["status"]["is_active"]}


@_add("lacks `is_active`")
def active_absent(_body: GroupBody, _hit: Hit) -> Patch:
    return {_ACTIVE: ABSENT}


def _first(body: GroupBody) -> MemberPath:
    """Return the path of the first count, or of the queued runs if there are no counts."""
    return (*_COUNTS, next(iter(body["status"]["task_run_status_counts"]), "queued"))


# Timestamps


@_add("has null for `modified_at`")
def modified_null(_body: GroupBody, _hit: Hit) -> Patch:
    return {_MODIFIED: None}


@_add("lacks `modified_at`")
def modified_absent(_body: GroupBody, _hit: Hit) -> Patch:
    return {_MODIFIED: ABSENT}


@_add("has an earlier `modified_at`", seconds=number(3600, 0, _YEAR_SECONDS))
def modified_regresses(body: GroupBody, hit: Hit) -> Patch:
    return {_MODIFIED: format_time(_modified(body) - timedelta(seconds=hit["seconds"]))}


@_add("has a later `modified_at`", seconds=number(3600, 0, _YEAR_SECONDS))
def modified_ahead(body: GroupBody, hit: Hit) -> Patch:
    return {_MODIFIED: format_time(_modified(body) + timedelta(seconds=hit["seconds"]))}


@_add("has `modified_at` with the offset +05:30, for the same instant")
def modified_offset(body: GroupBody, _: Hit) -> Patch:
    return {_MODIFIED: _with_offset(_modified(body))}


@_add("has `modified_at` with nanoseconds")
def modified_nanoseconds(body: GroupBody, _: Hit) -> Patch:
    return {_MODIFIED: format_time(_modified(body)).replace("Z", "789Z")}


@_add("has a `modified_at` that is not a timestamp", says=text("a while ago"))
def modified_nonsense(_: GroupBody, hit: Hit) -> Patch:
    return {_MODIFIED: hit["says"]}


@_add("has null for `created_at`")
def created_null(_body: GroupBody, _hit: Hit) -> Patch:
    return {_CREATED: None}


@_add("lacks `created_at`")
def created_absent(_body: GroupBody, _hit: Hit) -> Patch:
    return {_CREATED: ABSENT}


@_add("has a later `created_at`", seconds=number(3600, 0, _YEAR_SECONDS))
def created_ahead(body: GroupBody, hit: Hit) -> Patch:
    return {_CREATED: format_time(_created(body) + timedelta(seconds=hit["seconds"]))}


@_add("has `created_at` with the offset +05:30, for the same instant")
def created_offset(body: GroupBody, _: Hit) -> Patch:
    return {_CREATED: _with_offset(_created(body))}


@_add("has a `created_at` that is not a timestamp", says=text("last week"))
def created_nonsense(_: GroupBody, hit: Hit) -> Patch:
    return {_CREATED: hit["says"]}


def _created(body: GroupBody) -> datetime:
    return parse_time(body["created_at"])


def _modified(body: GroupBody) -> datetime:
    """Return `modified_at`, or `created_at` for a group without runs, which has no `modified_at`."""
    modified_at = body["status"]["modified_at"]
    return _created(body) if modified_at is None else parse_time(modified_at)


def _with_offset(time: datetime) -> str:
    return time.astimezone(_INDIA).isoformat(timespec="microseconds")


# Id, metadata and unknown members


@_add("has an undocumented member")
def unknown_field(_body: GroupBody, _hit: Hit) -> Patch:
    return {("billing",): {"credits": 12, "plan": None}}


@_add("has an undocumented member in `status`")
def unknown_status_field(_body: GroupBody, _hit: Hit) -> Patch:
    return {("status", "queue_position"): 7}


@_add("has the `taskgroup_id` of another group", says=text("tgrp_of_somebody_else"))
def other_id(_: GroupBody, hit: Hit) -> Patch:
    return {("taskgroup_id",): hit["says"]}


@_add("has metadata whose `revision` goes up by 1 every `every` seconds", every=number(5, 0.001, 86_400))
def metadata_changes(_: GroupBody, hit: Hit) -> Patch:
    return {("metadata", "revision"): int(hit.seconds / hit["every"])}


@_add("has null for `metadata`")
def metadata_null(_body: GroupBody, _hit: Hit) -> Patch:
    return {("metadata",): None}


@_add("lacks `metadata`")
def metadata_absent(_body: GroupBody, _hit: Hit) -> Patch:
    return {("metadata",): ABSENT}


@_add("has characters beyond U+FFFF in a key and a value of its metadata and in `status_message`")
def astral(_body: GroupBody, _hit: Hit) -> Patch:
    return {("metadata", _ASTRAL): _ASTRAL, _MESSAGE: _ASTRAL}


@_add("has U+0000 in a key and a value of its metadata and in `status_message`")
def nul(_body: GroupBody, _hit: Hit) -> Patch:
    return {("metadata", _NUL): _NUL, _MESSAGE: _NUL}


@_add("has integers beyond 2^53 in its metadata")
def big_integer(_body: GroupBody, _hit: Hit) -> Patch:
    return {("metadata", "above"): 2**53 + 1, ("metadata", "below"): -(10**30)}


@_add("has 1e400 in its metadata, a number too large for a double")
def huge_number(_body: GroupBody, _hit: Hit) -> Patch:
    return {("metadata", "huge"): JsonLiteral("1e400")}


@_add("has a number in its metadata with more digits than a double can hold")
def long_decimal(_body: GroupBody, _hit: Hit) -> Patch:
    return {("metadata", "decimal"): JsonLiteral("0.10000000000000000000000000000001")}


@_add("has nested arrays in its metadata, `levels` deep in total", levels=whole_number(200, 3, 100_000))
def nested(_: GroupBody, hit: Hit) -> Patch:
    arrays = hit["levels"] - _OUTER_LEVELS
    return {("metadata", "nested"): JsonLiteral("[" * arrays + "]" * arrays)}
