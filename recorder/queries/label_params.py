"""Parameters with variable names: metadata.KEY=VALUE, for any KEY."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema
from pydantic_core import InitErrorDetails

from recorder.queries.query import Query, error_of, times_given

PREFIX = "metadata"
MOST_LABELS = 10
"""Each adds a condition to the statement, and databases plan slowly for very many."""
_OURS = re.compile(r"metadata($|[.\[])")
_NAME = re.compile(r"metadata(?:\.(?P<dotted>.+)|\[(?P<bracketed>.+)\])", re.DOTALL)
_FORM = "is not of the form metadata.KEY=VALUE or metadata[KEY]=VALUE"

LabelsParam = Annotated[
    Mapping[str, str],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "propertyNames": {"minLength": 1},
            "maxProperties": MOST_LABELS,
        }
    ),
]


def key_of(name: str) -> str | None:
    """Return the KEY of metadata.KEY or metadata[KEY], None if `name` is of neither form."""
    match = _NAME.fullmatch(name)
    return match and (match["dotted"] or match["bracketed"])


class LabelledQuery(Query):
    """A query about groups with some metadata."""

    metadata: LabelsParam = Field(
        default={},
        description="only groups whose metadata has this text as the value of KEY; may also be written "
        "metadata.KEY=VALUE, and repeated for several keys",
    )

    @classmethod
    def _gathered(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        plain: dict[str, Any] = {}
        labels: dict[str, str] = {}
        errors = []
        for name, text in given.items():
            key = key_of(name)
            if not _OURS.match(name) or isinstance(text, Mapping):
                plain[name] = text
            elif key is None:
                errors.append(error_of((name,), text, _FORM))
            elif isinstance(text, list):
                errors.append(error_of((name,), text, times_given(len(text))))
            elif key in labels:
                errors.append(error_of((name,), text, times_given(2)))
            else:
                labels[key] = text
        if len(labels) > MOST_LABELS:
            errors.append(
                error_of((PREFIX,), labels, f"is given for {len(labels)} keys; at most {MOST_LABELS}")
            )
        return (plain | {PREFIX: labels} if labels else plain), errors
