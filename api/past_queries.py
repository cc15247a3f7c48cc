"""What may be asked about the past: the status at a moment, and samples at even steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import InitErrorDetails

from api.formats import Format
from api.queries import ExportQuery, HistoryQuery, Moment, Query, complaint, error_of
from recorder.ledger.entries import Kind

MAX_SAMPLES = 10_000
MAX_SAMPLED_ENTRIES = 100_000
"""Samples are told by all the entries of their stretch, which are held in memory meanwhile."""
LEAST_STEP = 0.001
_OTHER_KINDS = {kind.value for kind in Kind if kind is not Kind.STATUS}
_STATUS_ONLY = "does not go with csv, which has status entries only; ndjson has all kinds"
_WITH_STEP = {"from_", "to", "step", "format"}


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


class HistoryOrSamplesQuery(ExportQuery, HistoryQuery):
    """Which entries of a group's history to list, or at which steps to sample it."""

    step: Step = Field(
        None,
        description="instead of entries, a sample every so many seconds, at most 10,000 and of a stretch of "
        "at most 100,000 entries; from the first entry to the newest unless `from` and `to` say else",
    )

    @classmethod
    def _gathered(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        gathered, errors = super()._gathered(given)
        others = _OTHER_KINDS.intersection(str(gathered.get("kind")).split(","))
        if gathered.get("format") == Format.CSV and others:
            errors.append(error_of(("kind",), gathered.pop("kind"), _STATUS_ONLY))
        return gathered, errors

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
