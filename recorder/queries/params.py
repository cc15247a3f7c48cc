"""Query parameters: each is checked, and all the bad ones are reported at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from re import search
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.entries import Kind
from recorder.ledger.status_fields import Phase
from recorder.ledger.timestamps import parse_time
from recorder.ledger.watch import WatchState
from recorder.queries.formats import EXPORTS, Format
from recorder.queries.paging import Cursor, read_cursor

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100

Name = TypeVar("Name", bound=StrEnum)


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


def complaint(message: str) -> PydanticCustomError:
    """Return the error that a validator raises about a parameter."""
    # Pydantic formats the text as a template, so the message is passed as a value.
    return PydanticCustomError("parameter", "{message}", {"message": message})


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


def _whole_number(text: object) -> int:
    if isinstance(text, int):
        return text
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise complaint(f"is not a whole number from 1 to {MAX_LIMIT}")


def _in_range(limit: int) -> int:
    if not 1 <= limit <= MAX_LIMIT:
        raise complaint(f"is not from 1 to {MAX_LIMIT}")
    return limit


def _time(text: object) -> datetime:
    if isinstance(text, datetime):
        return text
    try:
        return parse_time(str(text))
    except ValueError:
        pass
    if search(r"\d \d\d:\d\d$", str(text)):
        raise complaint("is not a time: write the + before its offset as %2B, or give the time in UTC with Z")
    raise complaint("is not an RFC 3339 time with an offset, such as 2026-11-24T12:16:00Z")


def _names_of(names: type[Name]) -> Callable[[object], tuple[Name, ...]]:
    def read(text: object) -> tuple[Name, ...]:
        parts = text.split(",") if isinstance(text, str) else text
        try:
            return tuple(dict.fromkeys(names(part) for part in parts))  # type: ignore[attr-defined]
        except ValueError as error:
            raise complaint(f"{str(error).split(' is not')[0]} is not one of {', '.join(names)}") from None

    return read


def _listing(names: type[StrEnum]) -> WithJsonSchema:
    one = f"({'|'.join(names)})"
    return WithJsonSchema({"type": "string", "pattern": f"^{one}(,{one})*$"})


def list_description(words: str, names: type[StrEnum]) -> str:
    """Return the description of a parameter that takes a comma-separated list of names."""
    return f"{words}, separated by commas: {', '.join(names)}"


def _known_order(order: object) -> object:
    if order not in {"asc", "desc"}:
        raise complaint("is not one of asc, desc")
    return order


def _yes_or_no(text: object) -> object:
    words = {"true": True, "false": False}
    if isinstance(text, str):
        if text not in words:
            raise complaint("is not one of true, false")
        return words[text]
    return text


def _known_format(text: object) -> Format:
    try:
        return Format(str(text))
    except ValueError:
        raise complaint(f"is not one of {', '.join(Format)}") from None


def _well_formed(cursor: object) -> object:
    try:
        return cursor if isinstance(cursor, Cursor) else read_cursor(str(cursor))
    except ValueError as error:
        raise complaint(str(error)) from None


LimitParam = Annotated[
    int,
    BeforeValidator(_whole_number),
    AfterValidator(_in_range),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
]

TimeParam = Annotated[
    datetime | None, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]

OrderParam = Annotated[
    Literal["asc", "desc"],
    BeforeValidator(_known_order),
    WithJsonSchema({"type": "string", "enum": ["asc", "desc"], "default": "asc"}),
]

CursorParam = Annotated[Cursor | None, BeforeValidator(_well_formed), WithJsonSchema({"type": "string"})]
PhasesParam = Annotated[tuple[Phase, ...] | None, BeforeValidator(_names_of(Phase)), _listing(Phase)]

StatesParam = Annotated[
    tuple[WatchState, ...] | None, BeforeValidator(_names_of(WatchState)), _listing(WatchState)
]

AnomaliesParam = Annotated[tuple[Anomaly, ...] | None, BeforeValidator(_names_of(Anomaly)), _listing(Anomaly)]
KindsParam = Annotated[tuple[Kind, ...] | None, BeforeValidator(_names_of(Kind)), _listing(Kind)]

FormatParam = Annotated[
    Format | None,
    BeforeValidator(_known_format),
    WithJsonSchema({"type": "string", "enum": list(Format)}),
]
ORDER_WORDS = "oldest first (asc) or newest first (desc)"

FlagParam = Annotated[
    bool, BeforeValidator(_yes_or_no), WithJsonSchema({"type": "boolean", "default": False})
]
_PAGE_PARAMETERS = ("limit", "cursor", "count", "step")
_NOT_WITH_EXPORTS = (
    "cannot be combined with csv or ndjson, which return the whole selection; leave it out or ask for json"
)
LIMIT_WORDS = "the maximum number of items on a page"
CURSOR_WORDS = "where the page starts: from `next` of the previous page, valid for the same query only"


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
            paging = {name: gathered.pop(name) for name in _PAGE_PARAMETERS if name in gathered}
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
