"""What may be asked about the completion of many groups."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from api.label_queries import LabelledQuery, key_of
from api.queries import Moment, StretchQuery, complaint

_OUTCOME = (
    "cannot be outcome: what is still running has none, and leaving it out would make everything look "
    "faster than it is; group by metadata.KEY"
)


def _label(text: object) -> str:
    if text == "outcome":
        raise complaint(_OUTCOME)
    key = key_of(str(text))
    if key is None:
        raise complaint("is not metadata.KEY, such as metadata.processor")
    return key


def _only(word: str, meaning: str) -> BeforeValidator:
    def read(text: object) -> object:
        if text != word:
            raise complaint(f"can only be {word}: {meaning}")
        return text

    return BeforeValidator(read)


GroupBy = Annotated[
    str | None,
    BeforeValidator(_label),
    WithJsonSchema({"type": "string", "pattern": r"^metadata(\..+|\[.+\])$"}),
]
Since = Annotated[
    Literal["created"] | None,
    _only("created", "durations from the groups' created_at, first episodes only"),
    WithJsonSchema({"type": "string", "enum": ["created"]}),
]
Enrolled = Annotated[
    Literal["prospective"] | None,
    _only("prospective", "only episodes whose start was observed"),
    WithJsonSchema({"type": "string", "enum": ["prospective"]}),
]


class CurveQuery(LabelledQuery, StretchQuery):
    """Which episodes to draw the curve of."""

    from_: Moment = Field(None, alias="from", description="only episodes that started at or after this time")
    to: Moment = Field(None, description="only episodes that started before this time")
    since: Since = Field(
        None,
        description="created: count from the groups' created_at, first episodes only; groups whose "
        "created_at was never said are left out",
    )
    enrolled: Enrolled = Field(None, description="prospective: only episodes whose start was observed")


class CompletionQuery(CurveQuery):
    """Which episodes to sum up, and how to part them."""

    group_by: GroupBy = Field(
        None,
        description="metadata.KEY: an item for each value of KEY in the groups' metadata, at most 1,000",
    )
