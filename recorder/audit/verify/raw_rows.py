"""Rows exactly as the database holds them, whatever was put there.

Nothing is rejected and nothing converted: times are texts in the recorder's own form on every database, and
other values are the driver's. Where a database can hold invalid UTF-8 it is decoded with `surrogateescape`,
in parameters too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection, LargeBinary, Row, Table, Text, cast, literal, text
from sqlalchemy.exc import OperationalError

from recorder.ledger.timestamps import format_time
from recorder.store.archive_tables import tombstones
from recorder.store.dialects.registry import dialect_of
from recorder.store.run_tables import run_claims, run_snapshots
from recorder.store.tables import (
    Time,
    entries,
    episodes,
    group_labels,
    labelled_durations,
    milestones,
    summaries,
    watches,
)

GROUP_TABLES = (
    *(watches, entries, summaries, episodes, milestones, group_labels, labelled_durations),
    *(tombstones, run_snapshots, run_claims),
)
"""Every table that can name a group."""

RawRow = Mapping[Any, Any]
"""The values of a row by the names of its columns."""

_BYTES = ("utf-8", "surrogateescape")
"""How invalid UTF-8 is decoded, and encoded again."""
_ROWS_AT_ONCE = 500

_ENTRIES = "{after} AND taskgroup_id <= :last ORDER BY taskgroup_id, seq LIMIT :limit"
_OF_SNAPSHOT = "taskgroup_id = :taskgroup_id AND seq = :seq ORDER BY run_id"
_WITH_CLAIMS = """SELECT DISTINCT taskgroup_id, seq FROM run_claims
    WHERE taskgroup_id >= :first AND taskgroup_id <= :last"""
_NEXT_IDS = """WITH RECURSIVE ids (id) AS (
    SELECT min(taskgroup_id) FROM {table} WHERE {after}
    UNION ALL
    SELECT (SELECT min(taskgroup_id) FROM {table} WHERE taskgroup_id > ids.id) FROM ids WHERE id IS NOT NULL
    ) SELECT id FROM ids WHERE id IS NOT NULL LIMIT :limit"""


@dataclass(frozen=True, slots=True)
class Span:
    """The groups with ids from `first` to `last`, both included; on SQLite an id can be of any type."""

    first: Any
    last: Any


@dataclass(frozen=True, slots=True)
class RowPosition:
    """A position among the entries or episodes of a group: what follows it, or what comes up to it.

    Without a number it is before the group's first or after its last one, whatever their numbers are.
    """

    taskgroup_id: Any
    number: int | None = None


class RawTables:
    """The tables in the snapshot of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = dialect_of(connection)

    def entries(self, after: RowPosition, last: Any, limit: int) -> Iterator[Row[Any]]:
        """Yield entries in order: those after a position, of groups up to `last`."""
        question, given = self._entries_after(after, last, limit)
        number, row = 0, None
        try:
            for number, row in enumerate(self._ask(question, given), 1):  # noqa: B007 (used where it fails)
                yield row
        except OperationalError as error:
            if error.orig is None or not self._dialect.is_invalid_text(error.orig):
                raise
            # Continue after the last row that could be read, in the same snapshot.
            if row is not None:
                after, limit = RowPosition(row.taskgroup_id, row.seq), limit - number
            with self.any_text():
                yield from self._ask(*self._entries_after(after, last, limit))

    def _entries_after(self, after: RowPosition, last: Any, limit: int) -> tuple[str, dict[str, Any]]:
        given = {"taskgroup_id": after.taskgroup_id, "last": last, "limit": limit}
        begins = "taskgroup_id >= :taskgroup_id"
        if after.number is not None:
            begins = "(taskgroup_id, seq) > (:taskgroup_id, :seq)"
            given["seq"] = after.number
        condition = _ENTRIES.format(after=begins)
        return f"SELECT {self._columns(entries)} FROM entries WHERE {condition}", given  # noqa: S608

    def rows_of(self, table: Table, span: Span) -> dict[Any, list[RawRow]]:
        """Return the rows of a table by their groups, in the order of its key."""
        return self._by_group(
            table,
            "taskgroup_id >= :first AND taskgroup_id <= :last",
            {"first": span.first, "last": span.last},
        )

    def episodes(self, after: RowPosition, until: RowPosition) -> dict[Any, list[RawRow]]:
        """Return the rows of `episodes` by their groups: those after a position, up to another."""
        return self._numbered(episodes, "number", after, until)

    def milestones(self, after: RowPosition, until: RowPosition) -> dict[Any, list[RawRow]]:
        """Return the rows of `milestones` likewise."""
        return self._numbered(milestones, "episode", after, until)

    def _numbered(
        self, table: Table, number: str, after: RowPosition, until: RowPosition
    ) -> dict[Any, list[RawRow]]:
        key = f"(taskgroup_id, {number})"
        first = "taskgroup_id >= :first" if after.number is None else f"{key} > (:first, :after)"
        last = "taskgroup_id <= :last" if until.number is None else f"{key} <= (:last, :until)"
        given = {"first": after.taskgroup_id, "after": after.number}
        given |= {"last": until.taskgroup_id, "until": until.number}
        named = {name: value for name, value in given.items() if value is not None}
        return self._by_group(table, f"{first} AND {last}", named)

    def claims(self, taskgroup_id: Any, seq: Any) -> Iterator[RawRow]:
        """Yield the runs of a snapshot in the order of their ids."""
        question = f"SELECT {self._columns(run_claims)} FROM run_claims WHERE {_OF_SNAPSHOT}"  # noqa: S608
        with self.any_text():
            for row in self._ask(question, {"taskgroup_id": taskgroup_id, "seq": seq}):
                yield row._mapping

    def snapshots_with_claims(self, span: Span) -> Iterator[RawRow]:
        """Yield the groups and numbers of the snapshots that have any runs."""
        with self.any_text():
            for row in self._ask(_WITH_CLAIMS, {"first": span.first, "last": span.last}):
                yield row._mapping

    def ids_after(self, taskgroup_id: Any, limit: int) -> list[Any]:
        """Return the next ids that any table names, in order: those after `taskgroup_id`, if given."""
        after = "TRUE" if taskgroup_id is None else "taskgroup_id > :after"
        found: set[Any] = set()
        with self.any_text():
            for table in GROUP_TABLES:
                given = {"limit": limit} | ({} if taskgroup_id is None else {"after": taskgroup_id})
                question = _NEXT_IDS.format(table=table.name, after=after)
                found.update(row.id for row in self._ask(question, given))
        return sorted(found, key=id_order)[:limit]

    def _by_group(self, table: Table, condition: str, given: dict[str, Any]) -> dict[Any, list[RawRow]]:
        order = ", ".join(column.name for column in table.primary_key)
        question = f"SELECT {self._columns(table)} FROM {table.name} WHERE {condition} ORDER BY {order}"  # noqa: S608
        found: dict[Any, list[RawRow]] = {}
        with self.any_text():
            for row in self._ask(question, given):
                found.setdefault(row.taskgroup_id, []).append(row._mapping)
        return found

    def _ask(self, question: str, given: dict[str, Any]) -> Iterator[Row[Any]]:
        # The driver cannot pass invalid UTF-8 as text, so it is passed as bytes.
        raw = {name: value.encode(*_BYTES) for name, value in given.items() if not _is_utf8(value)}
        for name in raw:
            question = re.sub(rf":{name}\b", f"CAST(:{name} AS TEXT)", question)
        asked = text(question).execution_options(yield_per=_ROWS_AT_ONCE)
        # Faster than row by row.
        return chain.from_iterable(self._connection.execute(asked, {**given, **raw}).partitions())

    def _columns(self, table: Table) -> str:
        return ", ".join(
            self._dialect.raw_time_text(column.name) if isinstance(column.type, Time) else f'"{column.name}"'
            for column in table.c
        )

    def any_text(self) -> AbstractContextManager[None]:
        """Decode invalid UTF-8 too while the block runs, which takes longer."""
        return self._dialect.reading_invalid_text(self._connection)


def id_order(taskgroup_id: Any) -> tuple[bool, Any]:
    """Return the sort key of an id, as databases sort them: texts by their bytes, then binary values."""
    if isinstance(taskgroup_id, bytes):
        return True, taskgroup_id
    return False, taskgroup_id.encode(*_BYTES)


def bound(taskgroup_id: Any) -> Any:
    """Return an id as a parameter of a statement."""
    if _is_utf8(taskgroup_id):
        return taskgroup_id
    return cast(literal(taskgroup_id.encode(*_BYTES), LargeBinary), Text)


def _is_utf8(value: Any) -> bool:
    """Whether a driver accepts a value: it rejects text that cannot be encoded as UTF-8."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
    return True


def as_stored(row: RawRow) -> dict[str, Any]:
    """Return the values of a row as the database stores them."""
    return {name: format_time(value) if isinstance(value, datetime) else value for name, value in row.items()}
