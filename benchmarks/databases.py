"""SQLite files to read from: ledgers as recording makes them, and many more of the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from rich.console import Console

from recorder.store.engine import check_url, open_engine
from recorder.store.schema import upgrade
from recorder.store.tables import entries as entries_table
from recorder.store.tables import watches as watches_table
from tests.audit.ledgers import random_ledgers, write

TROUBLE = 0.02
"""How often something else than an answer comes."""
_GROUPS_AT_ONCE = 20
_ENTRIES_OF_A_GROUP = 1000


def files_of(path: Path, sizes: Sequence[int], out: Console) -> Iterator[int]:
    """Make a file of each size of `sizes`, which ascend, and yield how many entries it has.

    The first is filled with ledgers of 1,000 entries; the others have copies of these beside them.
    """
    copies = 0
    for entries in sizes:
        out.print(f"making {entries:,} entries ...")
        if entries == sizes[0]:
            fill(path, entries, entries // _ENTRIES_OF_A_GROUP)
        else:
            wanted = entries // sizes[0] - 1
            copy_groups(path, range(copies, wanted))
            copies = wanted
        yield sizes[0] * (copies + 1)


def fill(path: Path, entries: int, groups: int) -> None:
    """Make a file with random ledgers of usual answers."""
    engine = open_engine(check_url(f"sqlite:///{path}"))
    upgrade(engine)
    made = random_ledgers(1, groups, entries // groups, oddity=0, trouble=TROUBLE)
    while batch := list(islice(made, _GROUPS_AT_ONCE)):
        write(engine, batch)
    engine.dispose()
    _analyse(path)


def copy_groups(path: Path, numbers: range) -> None:
    """Put every group into the file once more for each number, by another id: its chain proves nothing."""
    with closing(sqlite3.connect(path)) as connection:
        _quick(connection)
        for number in numbers:
            for table in (watches_table, entries_table):
                others = ", ".join(column.name for column in table.c if column.name != "taskgroup_id")
                connection.execute(
                    f"INSERT INTO {table.name} (taskgroup_id, {others})"  # noqa: S608
                    f" SELECT taskgroup_id || '.{number}', {others} FROM {table.name}"
                    " WHERE taskgroup_id NOT GLOB '*.[0-9]*'"
                )
            connection.commit()
    _analyse(path)


def lengthen(path: Path, taskgroup_id: str, times: int) -> None:
    """Put the entries of a group behind themselves `times` times more; the chain proves nothing then."""
    with closing(sqlite3.connect(path)) as connection:
        _quick(connection)
        (length,) = connection.execute(
            "SELECT head_seq FROM watches WHERE taskgroup_id = ?", (taskgroup_id,)
        ).fetchone()
        others = ", ".join(column.name for column in entries_table.c if column.name != "seq")
        for number in range(1, times + 1):
            connection.execute(
                f"INSERT INTO entries (seq, {others})"  # noqa: S608
                f" SELECT seq + ?, {others} FROM entries WHERE taskgroup_id = ? AND seq <= ?",
                (number * length, taskgroup_id, length),
            )
        connection.execute(
            "UPDATE watches SET head_seq = head_seq * ?, status_seq = status_seq + ? WHERE taskgroup_id = ?",
            (times + 1, times * length, taskgroup_id),
        )
        connection.commit()
    _analyse(path)


def ids_of(path: Path) -> list[str]:
    """Return the ids of the groups that can stand in an address as they are."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT taskgroup_id FROM watches ORDER BY taskgroup_id")
        return [taskgroup_id for (taskgroup_id,) in found if taskgroup_id.isascii()]


def _quick(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")


def _analyse(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ANALYZE")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
