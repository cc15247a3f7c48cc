"""What scenes do to the times that a body says. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from recorder.ledger.timestamps import format_time, parse_time
from recorder.simulator.kinds import GroupKinds, number, text
from recorder.simulator.patches import ABSENT, Alteration, Body, Patch
from recorder.simulator.scenes import Hit

TIME_ALTERATIONS: GroupKinds[Alteration] = GroupKinds()

_CREATED = ("created_at",)
_MODIFIED = ("status", "modified_at")
_INDIA = timezone(timedelta(hours=5, minutes=30))
_YEAR_SECONDS = 365 * 86_400

_add = TIME_ALTERATIONS.add


@_add("says null as `modified_at`")
def modified_null(_body: Body, _hit: Hit) -> Patch:
    return {_MODIFIED: None}


@_add("lacks `modified_at`")
def modified_absent(_body: Body, _hit: Hit) -> Patch:
    return {_MODIFIED: ABSENT}


@_add("says an earlier `modified_at`", seconds=number(3600, 0, _YEAR_SECONDS))
def modified_regresses(body: Body, hit: Hit) -> Patch:
    return {_MODIFIED: format_time(_modified(body) - timedelta(seconds=hit["seconds"]))}


@_add("says a later `modified_at`", seconds=number(3600, 0, _YEAR_SECONDS))
def modified_ahead(body: Body, hit: Hit) -> Patch:
    return {_MODIFIED: format_time(_modified(body) + timedelta(seconds=hit["seconds"]))}


@_add("says `modified_at` with an offset of 5:30 h, the same instant")
def modified_offset(body: Body, _: Hit) -> Patch:
    return {_MODIFIED: _with_offset(_modified(body))}


@_add("says `modified_at` with nanoseconds")
def modified_nanoseconds(body: Body, _: Hit) -> Patch:
    return {_MODIFIED: format_time(_modified(body)).replace("Z", "789Z")}


@_add("says what is no time as `modified_at`", says=text("a while ago"))
def modified_nonsense(_: Body, hit: Hit) -> Patch:
    return {_MODIFIED: hit["says"]}


@_add("says null as `created_at`")
def created_null(_body: Body, _hit: Hit) -> Patch:
    return {_CREATED: None}


@_add("lacks `created_at`")
def created_absent(_body: Body, _hit: Hit) -> Patch:
    return {_CREATED: ABSENT}


@_add("says a later `created_at`", seconds=number(3600, 0, _YEAR_SECONDS))
def created_ahead(body: Body, hit: Hit) -> Patch:
    return {_CREATED: format_time(_created(body) + timedelta(seconds=hit["seconds"]))}


@_add("says `created_at` with an offset of 5:30 h, the same instant")
def created_offset(body: Body, _: Hit) -> Patch:
    return {_CREATED: _with_offset(_created(body))}


@_add("says what is no time as `created_at`", says=text("last week"))
def created_nonsense(_: Body, hit: Hit) -> Patch:
    return {_CREATED: hit["says"]}


def _created(body: Body) -> datetime:
    return parse_time(body["created_at"])


def _modified(body: Body) -> datetime:
    """Return `modified_at`; for a group without runs, which has none, when it was created."""
    said = body["status"]["modified_at"]
    return _created(body) if said is None else parse_time(said)


def _with_offset(moment: datetime) -> str:
    return moment.astimezone(_INDIA).isoformat(timespec="microseconds")
