"""Export whole ledgers as lines with everything that their digests cover."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, select
from sqlalchemy.exc import DataError

from recorder.audit.export_format import entry_line, open_line
from recorder.ledger.entries import Entry
from recorder.ledger.watch import Watch
from recorder.store.mapping import entry_of, watch_of
from recorder.store.tables import entries, watches

_T = TypeVar("_T")
_ROWS_AT_ONCE = 200


class ExportError(Exception):
    """A ledger is not stored as a recorder writes it; the message says which one, and what is wrong."""


def entries_of_groups(connection: Connection, taskgroup_ids: Iterable[str]) -> dict[str, int]:
    """Return how many entries each of these groups has, without groups that were never watched."""
    found = {}
    for taskgroup_id in taskgroup_ids:
        size = connection.scalar(select(watches.c.head_seq).where(watches.c.taskgroup_id == taskgroup_id))
        if size is not None:
            found[taskgroup_id] = size
    return found


def export_lines(connection: Connection, taskgroup_ids: Collection[str] | None = None) -> Generator[bytes]:
    """Yield the lines of an export, each with its line end, of all groups or of the known ones of these.

    The export is consistent if the transaction of `connection` is one snapshot. Close the generator before
    that transaction ends. Digests are not recomputed: an altered entry is exported as it is stored, and its
    line does not verify.

    Raises:
        ExportError: an entry cannot be read, or a watch row does not name the newest entry of its ledger.
    """

    def name_next(last: Watch | None) -> str:
        return f"the watch row after {last.taskgroup_id!r}" if last else "the first watch row"

    with closing(_watches(connection, taskgroup_ids)) as found:
        for watch in _legible(found, name_next):
            yield from _entry_lines(connection, watch)
            yield open_line(watch)


def _entry_lines(connection: Connection, watch: Watch) -> Iterator[bytes]:
    def name_next(last: tuple[Entry, bytes] | None) -> str:
        return f"{watch.taskgroup_id}: entry {last[0].seq + 1 if last else 1}"

    newest = None
    with closing(_entries(connection, watch.taskgroup_id)) as found:
        lines = ((entry, entry_line(entry)) for entry in found)
        for newest, line in _legible(lines, name_next):  # noqa: B007 (used after the loop)
            yield line
    head = watch.head
    if newest is None or (newest.seq, newest.digest) != (head.seq, head.digest):
        raise ExportError(
            f"{watch.taskgroup_id}: its ledger does not end with entry {head.seq}, as it should"
        )


def _legible(items: Iterator[_T], name_next: Callable[[_T | None], str]) -> Iterator[_T]:
    """Yield the items that can be read; `name_next` names the item after the last one for the error."""
    last = None
    try:
        for last in items:
            yield last
    except (ValueError, TypeError, KeyError, AttributeError, DataError) as error:
        raise ExportError(f"{name_next(last)} cannot be read: {error}") from None


def _watches(connection: Connection, taskgroup_ids: Collection[str] | None) -> Generator[Watch]:
    asked = select(watches)
    if taskgroup_ids is None:
        with connection.execute(_streamed(asked.order_by(watches.c.taskgroup_id))) as rows:
            yield from map(watch_of, rows)
        return
    for taskgroup_id in sorted(set(taskgroup_ids), key=str.encode):
        yield from map(watch_of, connection.execute(asked.where(watches.c.taskgroup_id == taskgroup_id)))


def _entries(connection: Connection, taskgroup_id: str) -> Generator[Entry]:
    asked = select(entries).where(entries.c.taskgroup_id == taskgroup_id).order_by(entries.c.seq)
    with connection.execute(_streamed(asked)) as rows:
        yield from map(entry_of, rows)


def _streamed(asked: Select[Any]) -> Select[Any]:
    return asked.execution_options(yield_per=_ROWS_AT_ONCE)
