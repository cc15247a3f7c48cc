"""Pages: opaque cursors that are bound to their query, and the address of the next page."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel

from recorder.ledger.timestamps import format_time

_VERSION = 2


_SEAL_LENGTH = 8


_GARBAGE = "is not a cursor of this API; take it from `next` as it stands"


PagePosition = tuple[int | str, ...]


class ForeignCursorError(ValueError):
    """The cursor is of another query."""

    def __init__(self) -> None:
        super().__init__("belongs to another query; begin again without it")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of the last item of a page; `query` tells its query from others."""

    query: str
    position: PagePosition

    def text(self) -> str:
        members = json.dumps([_VERSION, self._seal(), self.query, *self.position], separators=(",", ":"))
        return urlsafe_b64encode(members.encode()).decode().rstrip("=")

    def _seal(self) -> str:
        """Tells a cursor from one that was altered: a mistake, since there is nothing to gain."""
        members = json.dumps([self.query, *self.position])
        return sha256(members.encode()).hexdigest()[:_SEAL_LENGTH]

    def position_in(self, query: str) -> PagePosition:
        """Return the position, if it is one of `query`.

        Raises:
            ForeignCursorError: it is a position in the answer to another question.
        """
        if self.query != query:
            raise ForeignCursorError
        return self.position


def query_mark(path: str, filters: str) -> str:
    """Return what tells the query for `path` with `filters` from others."""
    return sha256(f"{path}?{filters}".encode()).hexdigest()[:16]


def read_cursor(text: str) -> Cursor:
    """Read a cursor.

    Raises:
        ValueError: it is none; the text says so to the one who gave it.
    """
    try:
        members = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (Base64Error, ValueError, RecursionError):
        raise ValueError(_GARBAGE) from None
    if not isinstance(members, list) or members[:1] != [_VERSION] or not 4 <= len(members) <= 5:
        raise ValueError(_GARBAGE)
    _, query, *position = members[1:]
    cursor = Cursor(query, tuple(position))
    if not all(type(member) in {int, str} for member in members) or cursor.text() != text:
        raise ValueError(_GARBAGE)
    return cursor


GROUPS_PATH = "/api/v1/groups"


def group_path(taskgroup_id: str) -> str:
    """Return the path of a group in the API."""
    return f"{GROUPS_PATH}/{quote(taskgroup_id, safe='')}"


_PAGING = {"limit", "cursor", "count", "format"}


@dataclass(frozen=True, slots=True)
class Paging:
    """The paging of one query for the resource at `path`."""

    path: str
    query: BaseModel

    def position(self) -> PagePosition | None:
        """Where the page begins, None for the first page.

        Raises:
            ForeignCursorError: the query's cursor is of another query.
        """
        cursor: Cursor | None = getattr(self.query, "cursor")  # noqa: B009
        return None if cursor is None else cursor.position_in(self._mark())

    def page(self, items: list[dict[str, Any]], ended_at: PagePosition | None) -> dict[str, Any]:
        """Return the body of a page; `ended_at` is the position of its last item, None if it is the last."""
        return {"items": items, "next": None if ended_at is None else self._address(ended_at)}

    def _address(self, position: PagePosition) -> str:
        given = [(name, text) for name, text, was_given in self._texts() if was_given]
        cursor = ("cursor", Cursor(self._mark(), position).text())
        return f"{self.path}?{urlencode([*given, cursor], quote_via=quote)}"

    def _mark(self) -> str:
        filters = [(name, text) for name, text, _ in self._texts() if name not in _PAGING]
        return query_mark(self.path, urlencode(filters))

    def _texts(self) -> Iterator[tuple[str, str, bool]]:
        """Each parameter's name, its value as text, and whether it was given."""
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
