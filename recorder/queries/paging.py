"""Pages: opaque cursors that are bound to their query, and references to the next page."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel

from recorder.ledger.timestamps import format_time

GROUPS_PATH = "/api/v1/groups"

_VERSION = 2
_SEAL_LENGTH = 8
_NOT_A_CURSOR = "is not a cursor of this API; copy it from `next` unchanged"
_NOT_FILTERS = {"limit", "cursor", "count", "format"}
"""Parameters that may change from one page to the next."""

PagePosition = tuple[int | str, ...]
T = TypeVar("T")


class ForeignCursorError(ValueError):
    """The cursor belongs to another query."""

    def __init__(self) -> None:
        super().__init__("belongs to another query; start again without it")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of the last item of a page; `query` identifies the query it belongs to."""

    query: str
    position: PagePosition

    def text(self) -> str:
        """Return the cursor as clients see it."""
        members = json.dumps([_VERSION, self._seal(), self.query, *self.position], separators=(",", ":"))
        return urlsafe_b64encode(members.encode()).decode().rstrip("=")

    def _seal(self) -> str:
        """A checksum against accidental changes; there is nothing to gain from forging it."""
        members = json.dumps([self.query, *self.position])
        return sha256(members.encode()).hexdigest()[:_SEAL_LENGTH]

    def position_in(self, query: str) -> PagePosition:
        """Return the position, provided that the cursor belongs to `query`.

        Raises:
            ForeignCursorError: it belongs to another query.
        """
        if self.query != query:
            raise ForeignCursorError
        return self.position


def read_cursor(text: str) -> Cursor:
    """Parse a cursor.

    Raises:
        ValueError: the text is not a cursor; the message is meant for the client.
    """
    try:
        members = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (Base64Error, ValueError, RecursionError):
        raise ValueError(_NOT_A_CURSOR) from None
    if not isinstance(members, list) or members[:1] != [_VERSION] or not 4 <= len(members) <= 5:
        raise ValueError(_NOT_A_CURSOR)
    _, query, *position = members[1:]
    cursor = Cursor(query, tuple(position))
    if not all(type(member) in {int, str} for member in members) or cursor.text() != text:
        raise ValueError(_NOT_A_CURSOR)
    return cursor


def group_path(taskgroup_id: str) -> str:
    """Return the path of a group in the API."""
    return f"{GROUPS_PATH}/{quote(taskgroup_id, safe='')}"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of items. `next` refers to the following page, relative to the address of this one, and
    `cursor` is the cursor in it; both are None on the last page."""

    items: list[T]
    next: str | None
    cursor: str | None

    def body(self, serialize: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
        """Return the page as JSON values."""
        return {"items": [serialize(item) for item in self.items], "next": self.next}


@dataclass(frozen=True, slots=True)
class Paging:
    """The paging of `query`, a query with a `cursor`, over the resource at `path`."""

    path: str
    query: BaseModel

    def position(self, cursor: Cursor | None) -> PagePosition | None:
        """Return the position after which the page starts, None for the first page.

        Raises:
            ForeignCursorError: the cursor belongs to another query.
        """
        return None if cursor is None else cursor.position_in(self._identity())

    def page(self, items: list[T], last: PagePosition | None) -> Page[T]:
        """Return a page; `last` is the position of its last item, None if no page follows."""
        if last is None:
            return Page(items, None, None)
        cursor = Cursor(self._identity(), last).text()
        given = [(name, text) for name, text, was_given in self._parameters() if was_given]
        # Relative to the page itself, it holds below any prefix that a proxy takes off.
        reference = f"?{urlencode([*given, ('cursor', cursor)], quote_via=quote)}"
        return Page(items, reference, cursor)

    def _identity(self) -> str:
        """Return a hash that identifies the query: its path and filters, including defaults."""
        filters = [(name, text) for name, text, _ in self._parameters() if name not in _NOT_FILTERS]
        return sha256(f"{self.path}?{urlencode(filters)}".encode()).hexdigest()[:16]

    def _parameters(self) -> Iterator[tuple[str, str, bool]]:
        """Yield each parameter's name, its value as text, and whether the client gave it."""
        for name, field in type(self.query).model_fields.items():
            value = getattr(self.query, name)
            if isinstance(value, Mapping):
                yield from ((f"{name}.{key}", text, True) for key, text in sorted(value.items()))
            elif value is not None and name != "cursor":
                yield field.alias or name, _text(value), name in self.query.model_fields_set


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else str(value)
