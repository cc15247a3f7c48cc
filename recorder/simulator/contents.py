"""What scenes do to the identity, the metadata and the unknown parts of a body. Pure."""

from __future__ import annotations

from recorder.simulator.json_text import Literal
from recorder.simulator.kinds import GroupKinds, number, text, whole
from recorder.simulator.patches import ABSENT, Alteration, Body, Patch
from recorder.simulator.scenes import Hit

CONTENT_ALTERATIONS: GroupKinds[Alteration] = GroupKinds()

_ASTRAL = "\N{FAMILY} \N{MATHEMATICAL BOLD CAPITAL A} \N{GOTHIC LETTER AHSA}"
_NUL = "before\0after"
_MESSAGE = ("status", "status_message")
_OUTER_LEVELS = 2
"""The levels of the body and of its metadata."""

_add = CONTENT_ALTERATIONS.add


@_add("has an undocumented member")
def unknown_field(_body: Body, _hit: Hit) -> Patch:
    return {("billing",): {"credits": 12, "plan": None}}


@_add("has an undocumented member inside `status`")
def unknown_status_field(_body: Body, _hit: Hit) -> Patch:
    return {("status", "queue_position"): 7}


@_add("names another group as its `taskgroup_id`", says=text("tgrp_of_somebody_else"))
def other_id(_: Body, hit: Hit) -> Patch:
    return {("taskgroup_id",): hit["says"]}


@_add("has metadata whose `revision` rises again and again", every=number(5, 0.001, 86_400))
def metadata_changes(_: Body, hit: Hit) -> Patch:
    return {("metadata", "revision"): int(hit.seconds / hit["every"])}


@_add("says null as `metadata`")
def metadata_null(_body: Body, _hit: Hit) -> Patch:
    return {("metadata",): None}


@_add("lacks `metadata`")
def metadata_absent(_body: Body, _hit: Hit) -> Patch:
    return {("metadata",): ABSENT}


@_add("has characters beyond U+FFFF in metadata, in a key too, and in `status_message`")
def astral(_body: Body, _hit: Hit) -> Patch:
    return {("metadata", _ASTRAL): _ASTRAL, _MESSAGE: _ASTRAL}


@_add("has U+0000 in metadata, in a key too, and in `status_message`")
def nul(_body: Body, _hit: Hit) -> Patch:
    return {("metadata", _NUL): _NUL, _MESSAGE: _NUL}


@_add("has integers beyond 2^53 in metadata")
def big_integer(_body: Body, _hit: Hit) -> Patch:
    return {("metadata", "above"): 2**53 + 1, ("metadata", "below"): -(10**30)}


@_add("has 1e400 in metadata, a number that no double holds")
def huge_number(_body: Body, _hit: Hit) -> Patch:
    return {("metadata", "huge"): Literal("1e400")}


@_add("has a number in metadata with more digits than a double holds")
def long_decimal(_body: Body, _hit: Hit) -> Patch:
    return {("metadata", "decimal"): Literal("0.10000000000000000000000000000001")}


@_add("has arrays within arrays in metadata, so many levels deep in all", levels=whole(200, 3, 100_000))
def nested(_: Body, hit: Hit) -> Patch:
    arrays = hit["levels"] - _OUTER_LEVELS
    return {("metadata", "nested"): Literal("[" * arrays + "]" * arrays)}
