"""Databases for the benchmarks: ledgers as recording writes them, and copies of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from rich.console import Console
from sqlalchemy import Connection, Table, text

from recorder.store.engine import check_url, open_engine
from recorder.store.migrate import upgrade
from recorder.store.tables import entries, watches
from tests.support.audit_ledgers import random_ledgers, write
from tests.support.postgres import running_postgres

TROUBLE = 0.02
"""The chance of anything other than a response."""
_GROUPS_AT_ONCE = 20
_ENTRIES_OF_A_GROUP = 1000
_COPY = ".copy-"


def databases(folder: str, *, sqlite_only: bool) -> Iterator[tuple[str, str]]:
    """Yield the names and URLs of a SQLite file in `folder` and of a private PostgreSQL server."""
    yield "SQLite", f"sqlite:///{folder}/recorder.db"
    if not sqlite_only:
        with running_postgres() as postgres:
            yield "PostgreSQL", postgres


def sizes_of(url: str, sizes: Sequence[int], out: Console) -> Iterator[int]:
    """Fill a database to each of the ascending `sizes` in turn, and yield its number of entries.

    It starts with ledgers of 1,000 entries, to which copies are added.
    """
    copies = 0
    for size in sizes:
        out.print(f"making {size:,} entries ...")
        if size == sizes[0]:
            fill(url, size, size // _ENTRIES_OF_A_GROUP)
        else:
            wanted = size // sizes[0] - 1
            copy_groups(url, range(copies, wanted))
            copies = wanted
        yield sizes[0] * (copies + 1)


def fill(url: str, size: int, groups: int, *, trouble: float = TROUBLE) -> None:
    """Create the tables, and random ledgers of ordinary responses."""
    engine = open_engine(check_url(url))
    upgrade(engine)
    made = random_ledgers(1, groups, size // groups, oddity=0, trouble=trouble)
    while batch := list(islice(made, _GROUPS_AT_ONCE)):
        write(engine, batch)
    engine.dispose()
    _settle(url)


def copy_groups(url: str, numbers: range, more: Sequence[Table] = ()) -> None:
    """Copy every group once per number, under a new id, which makes the copies' digests invalid.

    Of the derived tables, `more` are copied.
    """
    engine = open_engine(check_url(url))
    if numbers:
        with engine.begin() as connection:
            _hurry(connection)
            for table in (watches, entries, *more):
                others = ", ".join(f'"{column.name}"' for column in table.c if column.name != "taskgroup_id")
                question = f"""INSERT INTO {table.name} (taskgroup_id, {others})
                    WITH RECURSIVE copies (copy) AS (SELECT CAST(:first AS INTEGER)
                        UNION ALL SELECT copy + 1 FROM copies WHERE copy < :last)
                    SELECT taskgroup_id || '{_COPY}' || copy, {others} FROM {table.name} CROSS JOIN copies
                    WHERE taskgroup_id NOT LIKE '%{_COPY}%'"""  # noqa: S608
                connection.execute(text(question), {"first": numbers[0], "last": numbers[-1]})
    engine.dispose()
    _settle(url)


def double_groups(url: str, times: int) -> None:
    """Copy every group under a new id, and so double their number, `times` times; the copies' digests are
    invalid."""
    engine = open_engine(check_url(url))
    for number in range(times):
        with engine.begin() as connection:
            _hurry(connection)
            for table in (watches, entries):
                others = ", ".join(column.name for column in table.c if column.name != "taskgroup_id")
                question = f"""INSERT INTO {table.name} (taskgroup_id, {others})
                    SELECT '{number:02}-' || taskgroup_id, {others} FROM {table.name}"""  # noqa: S608
                connection.execute(text(question))
    engine.dispose()
    _settle(url)


def lengthen(url: str, taskgroup_id: str, times: int) -> None:
    """Repeat the entries of a group `times` more times, which makes its digests invalid."""
    engine = open_engine(check_url(url))
    named = {"taskgroup_id": taskgroup_id}
    others = ", ".join(column.name for column in entries.c if column.name != "seq")
    put = text(
        f"INSERT INTO entries (seq, {others}) SELECT seq + :later, {others} FROM entries"  # noqa: S608
        " WHERE taskgroup_id = :taskgroup_id AND seq <= :length"
    )
    with engine.begin() as connection:
        _hurry(connection)
        found = text("SELECT head_seq FROM watches WHERE taskgroup_id = :taskgroup_id")
        length = connection.execute(found, named).scalar_one()
        for number in range(1, times + 1):
            connection.execute(put, {**named, "later": number * length, "length": length})
        moved = "head_seq = head_seq + :later, status_seq = status_seq + :later"
        connection.execute(
            text(f"UPDATE watches SET {moved} WHERE taskgroup_id = :taskgroup_id"),  # noqa: S608
            {**named, "later": times * length},
        )
    engine.dispose()
    _settle(url)


def ids_of(url: str) -> list[str]:
    """Return the ids of the groups that need no escaping in a URL."""
    engine = open_engine(check_url(url))
    with engine.connect() as connection:
        found = connection.execute(text("SELECT taskgroup_id FROM watches ORDER BY taskgroup_id")).scalars()
        names = [taskgroup_id for taskgroup_id in found if taskgroup_id.isascii()]
    engine.dispose()
    return names


def _hurry(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA cache_size = -200000")


def _settle(url: str) -> None:
    engine = open_engine(check_url(url))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE")
    engine.dispose()
