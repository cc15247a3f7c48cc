"""Where a page begins: opaque to those who pass it on, and bound to the query that it came from."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256

_VERSION = 2
_SEAL_LENGTH = 8
_GARBAGE = "is not a cursor of this API; take it from `next` as it stands"

Position = tuple[int | str, ...]


class ForeignCursorError(ValueError):
    """The cursor is of another query."""

    def __init__(self) -> None:
        super().__init__("belongs to another query; begin again without it")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of the last item of a page; `query` tells its query from others."""

    query: str
    position: Position

    def text(self) -> str:
        members = json.dumps([_VERSION, self._seal(), self.query, *self.position], separators=(",", ":"))
        return urlsafe_b64encode(members.encode()).decode().rstrip("=")

    def _seal(self) -> str:
        """Tells a cursor from one that was altered: a mistake, since there is nothing to gain."""
        members = json.dumps([self.query, *self.position])
        return sha256(members.encode()).hexdigest()[:_SEAL_LENGTH]

    def position_in(self, query: str) -> Position:
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
