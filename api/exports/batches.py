"""Exports read in batches: JSON items, one per line (NDJSON), or rows of the SQL views (CSV).

Each batch is a separate snapshot that starts where the previous one ended, so that an export holds neither
memory nor a connection while its client reads slowly. Nothing is skipped or repeated, and entries recorded in
the meantime are left out, so that the number of items can be known beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, Row, TableClause, Text

from api.exports.csv import cell, csv_line, inert
from recorder.completion.episode_json import episode_members
from recorder.completion.episodes import open_episode
from recorder.ledger.entries import Gap, Kind
from recorder.ledger.watch import Watch
from recorder.queries.eta import etas_of
from recorder.queries.formats import Format
from recorder.queries.gaps import GapsQuery, gap_body, gaps_filter
from recorder.queries.groups import GroupsQuery, group_body, groups_filter, require_watch
from recorder.queries.history import (
    HistoryQuery,
    Line,
    count_lines,
    history_filter,
    line_body,
    read_lines,
)
from recorder.queries.json_output import ndjson_line
from recorder.store.derived import episodes_begun, summary_of
from recorder.store.episode_rows import completed_episodes
from recorder.store.groups import ALL_GROUPS, EnrolmentPosition, count_groups, list_groups, list_ids
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
    first batch), with at most the given number of items. `total` is how many items there are in all, None if
    that is not known beforehand."""

    name: str
    taskgroup_id: str | None
    format: Format
    view: TableClause
    read: Callable[[Connection, Place | None, int], Batch[Place]]
    total: int | None

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
    connection: Connection, query: GroupsQuery, form: Format, now: datetime, cohort_key: str | None
) -> Export[EnrolmentPosition]:
    """Return the export of groups, newest enrolment first.

    Estimates compare groups with the same value of `cohort_key` in their metadata; if it is None, all groups.
    """
    selected = groups_filter(query, now)
    # Groups may start or stop to match a filter meanwhile.
    total = count_groups(connection, ALL_GROUPS) if selected == ALL_GROUPS else None

    def rows(connection: Connection, after: EnrolmentPosition | None, size: int) -> Batch[EnrolmentPosition]:
        found = list_ids(connection, selected, limit=size + 1, after=after)
        ids = [taskgroup_id for _, taskgroup_id in found[:size]]
        ended_at = found[size - 1] if len(found) > size else None
        return Batch(_csv(LATEST_STATUS, latest_status_rows(connection, ids)), ended_at)

    def items(connection: Connection, after: EnrolmentPosition | None, size: int) -> Batch[EnrolmentPosition]:
        found = list_groups(connection, selected, limit=size + 1, after=after)
        groups = found[:size]
        last = groups[-1].watch if len(found) > size else None
        etas = etas_of(connection, groups, cohort_key)
        bodies = (group_body(group, etas[group.watch.taskgroup_id], now) for group in groups)
        return Batch(_ndjson(bodies), None if last is None else (last.enrolled_at, last.taskgroup_id))

    read = rows if form is Format.CSV else items
    return Export("groups", None, form, LATEST_STATUS, read, total)


def history_export(
    connection: Connection, taskgroup_id: str, query: HistoryQuery, form: Format, now: datetime
) -> Export[int]:
    """Return the export of a group's history; CSV has status entries only.

    Raises:
        UnknownGroupError: the group was never watched.
    """
    selected = history_filter(query)
    if form is Format.CSV:
        selected = replace(selected, kinds=(Kind.STATUS,))
    watch = require_watch(connection, taskgroup_id).watch
    read = _entries_reader(watch, selected, form=form, view=STATUS_HISTORY, body=line_body, now=now)
    total = count_lines(connection, watch, selected, now)
    return Export("history", taskgroup_id, form, STATUS_HISTORY, read, total)


def gaps_export(
    connection: Connection, taskgroup_id: str, query: GapsQuery, form: Format, now: datetime
) -> Export[int]:
    """Return the export of a group's gaps; CSV has closed ones only.

    Raises:
        UnknownGroupError: the group was never watched.
    """
    selected = gaps_filter(query)
    watch = require_watch(connection, taskgroup_id).watch
    read = _entries_reader(watch, selected, form=form, view=OBSERVATION_GAPS, body=gap_body, now=now)
    total = count_lines(connection, watch, selected, None if form is Format.CSV else now)
    return Export("gaps", taskgroup_id, form, OBSERVATION_GAPS, read, total)


def completion_export(connection: Connection, taskgroup_id: str, form: Format) -> Export[int]:
    """Return the export of a group's episodes.

    Raises:
        UnknownGroupError: the group was never watched.
    """
    require_watch(connection, taskgroup_id)
    last = episodes_begun(summary_of(connection, taskgroup_id))

    def rows(connection: Connection, after: int | None, size: int) -> Batch[int]:
        found = completion_rows(connection, taskgroup_id, after=after or 0, limit=size)
        known = [row for row in found if row.episode <= last]
        ended_at = known[-1].episode if known and known[-1].episode < last else None
        return Batch(_csv(GROUP_COMPLETION, known), ended_at)

    def items(connection: Connection, after: int | None, size: int) -> Batch[int]:
        group = require_watch(connection, taskgroup_id)
        found = completed_episodes(connection, taskgroup_id, after=after or 0, limit=size)
        known = [episode for episode in found if episode.number <= last]
        if len(known) == size and known[-1].number < last:
            return Batch(_ndjson(map(episode_members, known)), known[-1].number)
        current = open_episode(summary_of(connection, taskgroup_id).work, group.watch.open)
        if current is not None and current.number <= last and len(known) < size:
            known.append(current)
        return Batch(_ndjson(map(episode_members, known)), None)

    read = rows if form is Format.CSV else items
    return Export("completion", taskgroup_id, form, GROUP_COMPLETION, read, last)


def _entries_reader(
    watch: Watch,
    selected: HistoryFilter,
    *,
    form: Format,
    view: TableClause,
    body: Callable[[Line], dict[str, Any]],
    now: datetime,
) -> Callable[[Connection, int | None, int], Batch[int]]:
    """Return what reads the entries that `watch` knows of, and the gap that is open at `now`."""

    def is_known(place: int, line: Line) -> bool:
        return isinstance(line, Gap) or place <= watch.head.seq

    def read(connection: Connection, after: int | None, size: int) -> Batch[int]:
        found = read_lines(connection, watch, replace(selected, after_seq=after), size, now)
        if not selected.descending:
            found = [line for line in found if is_known(*line)]
        ended_at = found[size - 1][0] if len(found) > size else None
        lines = [line for place, line in found[:size] if is_known(place, line)]
        if form is Format.NDJSON:
            return Batch(_ndjson(map(body, lines)), ended_at)
        # The view has no row for a gap that is still open.
        seqs = [line.seq for line in lines if isinstance(line, Item)]
        return Batch(_csv(view, rows_of_entries(connection, view, watch.taskgroup_id, seqs)), ended_at)

    return read


def _ndjson(bodies: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    return (ndjson_line(body) for body in bodies)


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
