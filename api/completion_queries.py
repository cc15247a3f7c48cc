"""What may be asked about the completion of many groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import InitErrorDetails

from api.queries import Moment, StretchQuery, complaint, error_of, times_given

PREFIX = "metadata"
_NAME = re.compile(r"metadata(?:\.(?P<dotted>.+)|\[(?P<bracketed>.+)\])", re.DOTALL)
_FORM = "is not of the form metadata.KEY=VALUE or metadata[KEY]=VALUE"
_OUTCOME = (
    "cannot be outcome: what is still running has none, and leaving it out would make everything look "
    "faster than it is; group by metadata.KEY"
)


def key_of(name: str) -> str | None:
    """Return the KEY of metadata.KEY or metadata[KEY], None if `name` is of neither form."""
    match = _NAME.fullmatch(name)
    return match and (match["dotted"] or match["bracketed"])


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


Labels = Annotated[
    Mapping[str, str],
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]
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


class CurveQuery(StretchQuery):
    """Which episodes to draw the curve of."""

    from_: Moment = Field(None, alias="from", description="only episodes that started at or after this time")
    to: Moment = Field(None, description="only episodes that started before this time")
    since: Since = Field(
        None,
        description="created: count from the groups' created_at, first episodes only; groups whose "
        "created_at was never said are left out",
    )
    enrolled: Enrolled = Field(None, description="prospective: only episodes whose start was observed")
    metadata: Labels = Field(
        default={},
        description="only groups with this text as the value of KEY in their metadata; also written "
        "metadata.KEY=VALUE, and for several keys",
    )

    @classmethod
    def _gathered(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        plain: dict[str, Any] = {}
        labels: dict[str, str] = {}
        errors = []
        for name, text in given.items():
            key = key_of(name)
            if not name.startswith(PREFIX) or isinstance(text, Mapping):
                plain[name] = text
            elif key is None:
                errors.append(error_of((name,), text, _FORM))
            elif isinstance(text, list):
                errors.append(error_of((name,), text, times_given(len(text))))
            elif key in labels:
                errors.append(error_of((name,), text, times_given(2)))
            else:
                labels[key] = text
        return (plain | {PREFIX: labels} if labels else plain), errors


class CompletionQuery(CurveQuery):
    """Which episodes to sum up, and how to part them."""

    group_by: GroupBy = Field(
        None,
        description="metadata.KEY: an item for each value of KEY in the groups' metadata, at most 1,000",
    )
