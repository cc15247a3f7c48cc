"""Types of query parameters, which check and convert the text of each; and their descriptions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from re import escape, search
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.entries import Kind
from recorder.ledger.status_fields import Phase
from recorder.ledger.timestamps import parse_time
from recorder.ledger.watch import WatchState
from recorder.notify.events import EventType
from recorder.queries.formats import Format
from recorder.queries.paging import Cursor, read_cursor

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100

Name = TypeVar("Name", bound=StrEnum)


def complaint(message: str) -> PydanticCustomError:
    """Return the error that a validator raises about a parameter."""
    # Pydantic formats the text as a template, so the message is passed as a value.
    return PydanticCustomError("parameter", "{message}", {"message": message})


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
    one = f"({'|'.join(map(escape, names))})"
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
EventTypesParam = Annotated[
    tuple[EventType, ...] | None, BeforeValidator(_names_of(EventType)), _listing(EventType)
]

FormatParam = Annotated[
    Format | None,
    BeforeValidator(_known_format),
    WithJsonSchema({"type": "string", "enum": list(Format)}),
]
ORDER_WORDS = "oldest first (asc) or newest first (desc)"

FlagParam = Annotated[
    bool, BeforeValidator(_yes_or_no), WithJsonSchema({"type": "boolean", "default": False})
]
LIMIT_WORDS = "the maximum number of items on a page"
CURSOR_WORDS = "where the page starts: from `next` of the previous page, valid for the same query only"
