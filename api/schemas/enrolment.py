"""The types of enrolment: what is sent, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    WithJsonSchema,
    model_validator,
)

from api.schemas.common import Group
from recorder.ledger.entries import MOST_RUNS
from recorder.ledger.group_id import MAX_LENGTH, check_taskgroup_id
from recorder.ledger.timestamps import parse_time
from recorder.queries.param_types import complaint

MOST_ITEMS = 1000
MOST_NOTE_CHARACTERS = 1000


def _id(value: Any) -> str:
    if not isinstance(value, str):
        raise complaint("is not a text")
    try:
        return check_taskgroup_id(value)
    except ValueError as error:
        raise complaint(str(error)) from None


def _note(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.isprintable() or len(value) > MOST_NOTE_CHARACTERS:
        raise complaint(f"is not one line of at most {MOST_NOTE_CHARACTERS} printable characters")
    return value


def _runs(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        # To JSON, 3.0 is the whole number 3.
        value = int(value)
    if value is not None and (type(value) is not int or not 1 <= value <= MOST_RUNS):
        raise complaint(f"is not a whole number from 1 to {MOST_RUNS}")
    return value


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_time(value)
    except (ValueError, TypeError):
        raise complaint("is not an RFC 3339 time with an offset, such as 2026-11-24T12:16:00Z") from None


def _something(value: int | None) -> int:
    if value is None:
        raise complaint(f"is not a whole number from 1 to {MOST_RUNS}")
    return value


_RUNS_SCHEMA = {"type": "integer", "minimum": 1, "maximum": MOST_RUNS}
GivenId = Annotated[
    str,
    BeforeValidator(_id),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_LENGTH}),
]
GivenNote = Annotated[
    str | None,
    BeforeValidator(_note),
    WithJsonSchema({"type": ["string", "null"], "maxLength": MOST_NOTE_CHARACTERS}),
]
GivenRuns = Annotated[
    int | None, BeforeValidator(_runs), WithJsonSchema({**_RUNS_SCHEMA, "type": ["integer", "null"]})
]
GivenTime = Annotated[
    datetime | None,
    BeforeValidator(_time),
    WithJsonSchema({"type": ["string", "null"], "format": "date-time"}),
]
MoreRuns = Annotated[
    int | None, BeforeValidator(_runs), AfterValidator(_something), WithJsonSchema(_RUNS_SCHEMA)
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EnrolmentItem(_Body):
    """A group to enrol."""

    taskgroup_id: GivenId = Field(description="the group's id")
    note: GivenNote = Field(None, description="the reason, to keep with the entry that is written; one line")
    expected_runs: GivenRuns = Field(None, description="how many runs the group will have in all")
    expected_by: GivenTime = Field(None, description="when the group will be done")


class EnrolmentItems(_Body):
    """Groups to enrol."""

    items: list[EnrolmentItem] = Field(
        min_length=1, max_length=MOST_ITEMS, description="the groups, each as if it were sent alone"
    )


class EnrolmentBody(RootModel[EnrolmentItem | EnrolmentItems]):
    """One group to enrol, or several."""


class ExpectationBody(_Body):
    """What to expect of a group from now on. A member that is not given stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"minProperties": 1, "not": {"required": ["runs", "add_runs"]}},
    )

    runs: GivenRuns = Field(
        None, description="how many runs there will be in all; null: nothing is expected any more"
    )
    add_runs: MoreRuns = Field(None, description="how many runs more than that")
    by: GivenTime = Field(None, description="when the group will be done; null: nothing is expected any more")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if not self.model_fields_set:
            raise complaint("has none of runs, add_runs and by")
        if {"runs", "add_runs"} <= self.model_fields_set:
            raise complaint("has both runs and add_runs; give one of them")
        return self


class EnrolledGroups(BaseModel):
    """The groups of a request, in its order."""

    items: list[Group]


class EnrolmentAnswer(RootModel[Group | EnrolledGroups]):
    """The group that was enrolled; for a request with `items`, the groups."""
