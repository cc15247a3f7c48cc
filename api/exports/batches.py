"""Exports read in batches: JSON items, one per line (NDJSON), or rows of the SQL views (CSV).

Each batch is a separate snapshot that starts where the previous one ended, so that an export holds neither
memory nor a connection while its client reads slowly. As with pages, entries recorded in the meantime may or
may not be included, and nothing is skipped or repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, Row, TableClause, Text

from api.exports.csv import cell, csv_line, inert
from recorder.completion.episodes import open_episode
from recorder.ledger.entries import Kind
from recorder.queries.completion import episode_members
from recorder.queries.eta import etas_of
from recorder.queries.formats import Format
from recorder.queries.gaps import GapsQuery, gap_body, gaps_filter
from recorder.queries.groups import GroupsQuery, group_body, groups_filter, require_watch
from recorder.queries.history import HistoryQuery, Line, history_filter, line_body, read_lines
from recorder.queries.json_output import dumps
from recorder.store.derived import completed_episodes, summary_of
from recorder.store.groups import list_groups
from recorder.store.history import HistoryFilter, Item
from recorder.store.transactions import reading
from recorder.store.view_rows import (
    GROUP_COMPLETION,
    LATEST_STATUS,
    OBSERVATION_GAPS,
    STATUS_HISTORY,
    JsonText,
    completion_rows,
    latest_status_rows,
    rows_of_entries,
)

EXPORT_BATCH = 1000
"""The maximum number of items read at once."""
FIRST_BATCH = 10
PART_BYTES = 2 * 2**20
"""The target length of a part. An item may be as long as a response of the provider, and reading it takes
several times that much memory."""
_GROWTH = 10

Place = TypeVar("Place")


@dataclass(frozen=True, slots=True)
class Batch(Generic[Place]):
    """Lines of an export, and the place of the last one; None if no lines follow."""

    lines: Iterable[bytes]
    ended_at: Place | None


@dataclass(frozen=True, slots=True)
class Export(Generic[Place]):
    """An export of groups, or of the data of one group. `read` returns the batch after a place (None for the
    first batch), with at most the given number of items."""

    name: str
    taskgroup_id: str | None
    format: Format
    view: TableClause
    read: Callable[[Connection, Place | None, int], Batch[Place]]

    def parts(self, engine: Engine) -> Generator[bytes, None, None]:
        """Yield the export piece by piece; no connection is held between them.

        Raises:
            DatabaseUnavailableError: the database is unavailable; the parts yielded so far are incomplete.
        """
        head = _header(self.view) if self.format is Format.CSV else b""
        after: Place | None = None
        size = min(FIRST_BATCH, EXPORT_BATCH)
        while True:
            with reading(engine) as connection:
                batch = self.read(connection, after, size)
                part = head + b"".join(batch.lines)
            if part:
                yield part
            head, after, size = b"", batch.ended_at, next_size(size, len(part))
            if after is None:
                return


def next_size(size: int, length: int) -> int:
    """Return how many items to read at once after `size` of them made a part of `length` bytes.

    This is as many as fill `PART_BYTES` if the next items are equally long, with limited growth in case they
    are longer.
    """
    fitting = size * PART_BYTES // max(1, length)
    return max(1, min(fitting, size * _GROWTH, EXPORT_BATCH))


def groups_export(
    query: GroupsQuery, form: Format, now: datetime, cohort_key: str | None
) -> Export[tuple[datetime, str]]:
    """Return the export of groups, newest enrolment first.

    Estimates compare groups with the same value of `cohort_key` in their metadata; if it is None, all groups.
    """
    selected = groups_filter(query, now)

    def read(
        connection: Connection, after: tuple[datetime, str] | None, size: int
    ) -> Batch[tuple[datetime, str]]:
        found = list_groups(connection, selected, limit=size + 1, after=after)
        groups = found[:size]
        ids = [group.watch.taskgroup_id for group in groups]
        ended_at = (groups[-1].watch.enrolled_at, ids[-1]) if len(found) > size else None
        if form is Format.CSV:
            return Batch(_csv(LATEST_STATUS, latest_status_rows(connection, ids)), ended_at)
        etas = etas_of(connection, groups, cohort_key)
        bodies = (group_body(group, etas[group.watch.taskgroup_id], now) for group in groups)
        return Batch(_ndjson(bodies), ended_at)

    return Export("groups", None, form, LATEST_STATUS, read)


def history_export(taskgroup_id: str, query: HistoryQuery, form: Format, now: datetime) -> Export[int]:
    """Return the export of a group's history; CSV has status entries only.

    Raises (while it is read):
        UnknownGroupError: the group was never watched.
    """
    selected = history_filter(query)
    return _entries_export(
        "history",
        taskgroup_id,
        replace(selected, kinds=(Kind.STATUS,)) if form is Format.CSV else selected,
        form=form,
        view=STATUS_HISTORY,
        body=line_body,
        now=now,
    )


def gaps_export(taskgroup_id: str, query: GapsQuery, form: Format, now: datetime) -> Export[int]:
    """Return the export of a group's gaps; CSV has closed ones only.

    Raises (while it is read):
        UnknownGroupError: the group was never watched.
    """
    return _entries_export(
        "gaps",
        taskgroup_id,
        gaps_filter(query),
        form=form,
        view=OBSERVATION_GAPS,
        body=gap_body,
        now=now,
    )


def completion_export(taskgroup_id: str, form: Format) -> Export[int]:
    """Return the export of a group's episodes.

    Raises (while it is read):
        UnknownGroupError: the group was never watched.
    """

    def rows(connection: Connection, after: int | None, size: int) -> Batch[int]:
        found = completion_rows(connection, taskgroup_id, after=after or 0, limit=size + 1)
        ended_at = found[size - 1].episode if len(found) > size else None
        return Batch(_csv(GROUP_COMPLETION, found[:size]), ended_at)

    def items(connection: Connection, after: int | None, size: int) -> Batch[int]:
        group = require_watch(connection, taskgroup_id)
        found = completed_episodes(connection, taskgroup_id, after=after or 0, limit=size)
        if len(found) == size:
            return Batch(_ndjson(map(episode_members, found)), found[-1].number)
        current = open_episode(summary_of(connection, taskgroup_id).work, group.watch.open)
        return Batch(_ndjson(map(episode_members, [*found, *([current] if current else [])])), None)

    read = rows if form is Format.CSV else items
    return Export("completion", taskgroup_id, form, GROUP_COMPLETION, read)


def _entries_export(
    name: str,
    taskgroup_id: str,
    selected: HistoryFilter,
    *,
    form: Format,
    view: TableClause,
    body: Callable[[Line], dict[str, Any]],
    now: datetime,
) -> Export[int]:
    def read(connection: Connection, after: int | None, size: int) -> Batch[int]:
        watch = require_watch(connection, taskgroup_id).watch
        found = read_lines(connection, watch, replace(selected, after_seq=after), size, now)
        ended_at = found[size - 1][0] if len(found) > size else None
        items = [item for _, item in found[:size]]
        if form is Format.NDJSON:
            return Batch(_ndjson(map(body, items)), ended_at)
        # The view has no row for a gap that is still open.
        seqs = [item.seq for item in items if isinstance(item, Item)]
        return Batch(_csv(view, rows_of_entries(connection, view, taskgroup_id, seqs)), ended_at)

    return Export(name, taskgroup_id, form, view, read)


def _ndjson(bodies: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    return (dumps(body) + b"\n" for body in bodies)


def _header(view: TableClause) -> bytes:
    return csv_line(cell(column.name) for column in view.c).encode()


def _csv(view: TableClause, rows: Iterable[Row[Any]]) -> Iterator[bytes]:
    texts = [
        number
        for number, column in enumerate(view.c)
        if isinstance(column.type, Text) and not isinstance(column.type, JsonText)
    ]
    for row in rows:
        values = list(row)
        for number in texts:
            values[number] = inert(values[number])
        yield csv_line(map(cell, values)).encode()
