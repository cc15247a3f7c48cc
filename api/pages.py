"""Pages: where one begins, and the address of the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from api.cursors import Cursor, Position, query_mark
from api.group_queries import GroupsQuery
from api.queries import GapsQuery, HistoryQuery
from recorder.ledger.times import format_time

_PAGING = {"limit", "cursor", "count", "format"}


@dataclass(frozen=True, slots=True)
class Paging:
    """The paging of one query for the resource at `path`."""

    path: str
    query: GroupsQuery | HistoryQuery | GapsQuery

    def position(self) -> Position | None:
        """Where the page begins, None for the first page.

        Raises:
            ForeignCursorError: the query's cursor is of another query.
        """
        return None if self.query.cursor is None else self.query.cursor.position_in(self._mark())

    def page(self, items: list[dict[str, Any]], ended_at: Position | None) -> dict[str, Any]:
        """Return the body of a page; `ended_at` is the position of its last item, None if it is the last."""
        return {"items": items, "next": None if ended_at is None else self._address(ended_at)}

    def _address(self, position: Position) -> str:
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
