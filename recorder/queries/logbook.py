"""A group's ledger as a logbook: its entries, the newest first, with what each one changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from recorder.ledger.entries import Gap
from recorder.ledger.watch import Watch
from recorder.queries.descriptions import Descriptions
from recorder.queries.history import HistoryQuery, Line, history_request, line_body, read_page
from recorder.store.history import Item


@dataclass(frozen=True, slots=True)
class Logbook:
    """A page of entries as JSON values, each with `changed`: what it changed in words, None for a gap.
    `cursor` is where the next page starts, None on the last."""

    lines: list[dict[str, Any]]
    cursor: str | None


def logbook_page(connection: Connection, watch: Watch, query: HistoryQuery, now: datetime) -> Logbook:
    """Return the page of entries that `query` asks for.

    Raises:
        ForeignCursorError: the cursor belongs to another query.
    """
    page = read_page(connection, watch, history_request(watch.taskgroup_id, query), now)
    described = Descriptions()
    described.read(connection, watch.taskgroup_id, [line for line in page.items if isinstance(line, Item)])
    return Logbook([_line(line, described) for line in page.items], page.cursor)


def _line(line: Line, described: Descriptions) -> dict[str, Any]:
    is_gap = isinstance(line, Gap) or isinstance(line.content, Gap)
    changed = None if isinstance(line, Gap) or is_gap else described.of(line.seq)
    return {**line_body(line), "changed": changed}
