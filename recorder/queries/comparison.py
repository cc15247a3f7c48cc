"""Compare how long two sets of episodes lasted: those of two stretches of time, or of two metadata values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import InitErrorDetails
from sqlalchemy import Connection

from recorder.completion.comparison import compared
from recorder.ledger.timestamps import format_time
from recorder.queries.completion import CompletionQuery, selection_of, statistics_answer
from recorder.queries.label_params import key_of
from recorder.queries.param_types import TimeParam, complaint
from recorder.queries.query import error_of
from recorder.store.durations import Selection, durations_of

_BY_TIME = "time"
_STRETCH = ("than_from", "than_to")
_VALUES = ("value", "than_value")


def _what(text: object) -> str:
    if text != _BY_TIME and key_of(str(text)) is None:
        raise complaint("is neither time nor metadata.KEY, such as metadata.processor")
    return str(text)


CompareParam = Annotated[
    str | None,
    BeforeValidator(_what),
    WithJsonSchema({"type": "string", "pattern": r"^(time|metadata(\..+|\[.+\]))$"}),
]


class StatisticsQuery(CompletionQuery):
    """Which episodes to summarize, and which others to compare them with."""

    compare: CompareParam = Field(
        None,
        description="time: compare the episodes that started between from and to with those between "
        "than_from and than_to; metadata.KEY: compare the groups with value in KEY with those with "
        "than_value",
    )
    than_from: TimeParam = Field(
        None, description="for compare=time: the others started at or after this time"
    )
    than_to: TimeParam = Field(None, description="for compare=time: the others started before this time")
    value: str | None = Field(None, description="for compare=metadata.KEY: the text of the first value")
    than_value: str | None = Field(None, description="for compare=metadata.KEY: the text of the other value")

    @classmethod
    def _gathered(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        gathered, errors = super()._gathered(given)
        return gathered, [*errors, *_contradictions(gathered)]

    @field_validator("than_to")
    @classmethod
    def _not_before_than_from(cls, to: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("than_from")
        if since is not None and to is not None and since > to:
            raise complaint("lies before than_from")
        return to

    @property
    def compared_key(self) -> str | None:
        """The metadata key whose values are compared."""
        return None if self.compare is None else key_of(self.compare)


def statistics_or_comparison(connection: Connection, query: StatisticsQuery) -> dict[str, Any]:
    """Return how long the selected episodes lasted, by cohort or compared with others, as JSON values.

    Raises:
        TooManyCohortsError: there are too many values to group by.
    """
    if query.compare is None:
        return statistics_answer(connection, query)
    both = [durations_of(connection, side) for side in sides_of(query)]
    sides, comparison = compared(*(selected.cohorts[0].durations for selected in both))
    keys = (query.value, query.than_value)
    as_of = max((selected.as_of for selected in both if selected.as_of is not None), default=None)
    return {
        "as_of": None if as_of is None else format_time(as_of),
        "items": [{"key": key, **statistics} for key, statistics in zip(keys, sides, strict=True)],
        "comparison": comparison,
    }


def sides_of(query: StatisticsQuery) -> tuple[Selection, Selection]:
    """Return the two selections that a query with `compare` compares."""
    chosen, key = selection_of(query), query.compared_key
    if key is None:
        return chosen, replace(chosen, from_=query.than_from, until=query.than_to)
    one, other = (
        replace(chosen, labels=(*chosen.labels, (key, value or "")))
        for value in (query.value, query.than_value)
    )
    return one, other


def _contradictions(given: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Yield an error for each parameter that is missing for a comparison, or that does not belong to it."""
    compare = given.get("compare")
    if compare not in (None, _BY_TIME) and key_of(str(compare)) is None:
        return
    wanted = () if compare is None else _STRETCH if compare == _BY_TIME else _VALUES
    for name in (*_STRETCH, *_VALUES):
        if name in given and name not in wanted:
            owner = "compare=time" if name in _STRETCH else "compare=metadata.KEY"
            yield error_of((name,), given[name], f"belongs to {owner}")
    if compare is None:
        return
    if compare == _BY_TIME and not any(name in given for name in _STRETCH):
        yield error_of(("compare",), compare, "needs than_from or than_to, to tell what to compare with")
    if compare != _BY_TIME:
        for name in _VALUES:
            if name not in given:
                yield error_of((name,), None, "is missing: two values are compared")
        if key_of(str(compare)) in given.get("metadata", {}):
            yield error_of(("compare",), compare, "has the key of a metadata filter; leave the filter out")
    if "group_by" in given:
        yield error_of(("group_by",), given["group_by"], "cannot be combined with compare")
