"""Queries, the base of every set of parameters: all bad parameters are reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails

from recorder.queries.formats import EXPORTS
from recorder.queries.param_types import FormatParam, TimeParam, complaint

PAGE_PARAMETERS = ("limit", "cursor", "count", "step")
"""Parameters that exports do not have."""
NOT_IN_CSV = ("kind",)
"""Parameters that exports as CSV do not have: each has one kind of row."""
_NOT_WITH_EXPORTS = (
    "cannot be combined with csv or ndjson, which return the whole selection; leave it out or ask for json"
)


class Query(BaseModel):
    """The parameters of one query.

    Its ValidationError has one error for each bad parameter, with a message meant for the client; `loc` is
    the parameter's name. A parameter that was given more than once is passed as a list.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_every_error(cls, given: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        given, errors = cls._gathered(given)
        repeated = {name: values for name, values in given.items() if isinstance(values, list)}
        errors += [error_of((name,), values, times_given(len(values))) for name, values in repeated.items()]
        try:
            query = check({name: value for name, value in given.items() if name not in repeated})
        except ValidationError as error:
            errors += [cls._worded(details) for details in error.errors(include_url=False)]
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors, hide_input=True)
        return query

    @classmethod
    def _gathered(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        """Collect parameters with variable names, such as metadata.KEY, in one; return errors with them."""
        return dict(given), []

    @classmethod
    def _worded(cls, details: ErrorDetails) -> InitErrorDetails:
        message = details["msg"]
        if details["type"] == "extra_forbidden":
            message = _unknown(str(details["loc"][0]), cls.parameters())
        return error_of(details["loc"], details["input"], message)

    @classmethod
    def parameters(cls) -> list[str]:
        """Return the names of the parameters."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """Parse parameters by name, each given as text or as the parsed value.

        Raises:
            ValidationError: with an error for every bad parameter.
        """
        return cls.model_validate(given)


def error_of(loc: tuple[int | str, ...], value: Any, message: str) -> InitErrorDetails:
    """Return an error about the parameter `loc`."""
    return InitErrorDetails(type=complaint(message), loc=loc, input=value)


def times_given(count: int) -> str:
    """Return the message about a parameter that is given more than once."""
    return f"is given {count} times; give it once"


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name.lower(), known, n=1)
    if close:
        return f"is not a parameter here; did you mean {close[0]}?"
    if known:
        return f"is not a parameter here; the parameters are {', '.join(known)}"
    return "is not a parameter here; there are no parameters"


class NoQuery(Query):
    """A query without parameters."""


class ExportQuery(Query):
    """A query whose whole answer can be streamed."""

    format: FormatParam = Field(
        None,
        description="json: a page; csv or ndjson: the whole selection as a stream; overrides "
        "the Accept header",
    )

    @classmethod
    def _gathered(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        gathered, errors = super()._gathered(given)
        if gathered.get("format") in EXPORTS:
            paging = {name: gathered.pop(name) for name in PAGE_PARAMETERS if name in gathered}
            errors += [
                error_of((name,), value, _NOT_WITH_EXPORTS)
                for name, value in paging.items()
                if value != cls._usual(name)
            ]
        return gathered, errors

    @classmethod
    def _usual(cls, name: str) -> str:
        """Return a parameter's default as text: forms, such as the one in /docs, always send it."""
        default = cls.model_fields[name].default if name in cls.model_fields else None
        return str(default).lower()


class StretchQuery(Query):
    """A query about a stretch of time."""

    from_: TimeParam = Field(None, alias="from", description="only what was true at or after this time")
    to: TimeParam = Field(None, description="only what was true before this time")

    @field_validator("to")
    @classmethod
    def _not_before_from(cls, to: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("from_")
        if since is not None and to is not None and since > to:
            raise complaint("lies before from")
        return to
