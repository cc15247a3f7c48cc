"""What may be asked about the past: the status at a moment, and samples at even steps."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from api.queries import HistoryQuery, Moment, Query, complaint

MAX_SAMPLES = 10_000
LEAST_STEP = 0.001
_WITH_STEP = {"from_", "to", "step"}


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


Step = Annotated[
    timedelta | None,
    BeforeValidator(_step),
    WithJsonSchema({"type": "number", "minimum": LEAST_STEP, "maximum": 3155760000}),
]


class StatusQuery(Query):
    """At which moment to tell a group's status."""

    at: Moment = Field(
        None, description="this moment of the past, with how certain the answer is; without it, the latest"
    )


class HistoryOrSamplesQuery(HistoryQuery):
    """Which entries of a group's history to list, or at which steps to sample it."""

    step: Step = Field(
        None,
        description="instead of entries, a sample every so many seconds, at most 10,000; from the first "
        "entry to the newest unless `from` and `to` say else",
    )

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
