"""Archive a database month by month and bring everything back, with nothing but commands in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from api.app import create_app
from recorder.ledger.timestamps import format_time
from recorder.store.engine import open_engine
from recorder.store.transactions import reading
from tests.support.audit_ledgers import write
from tests.support.months_of_ledgers import month, months_of_ledgers

Timed = Callable[[str], AbstractContextManager[None]]
"""Takes the time of the step in the block, which it is given the name of."""

_STATISTICS = (
    "",
    "?group_by=metadata.customer",
    "?since=created",
    "?enrolled=prospective",
    "?metadata.customer=customer+1",
    "?compare=time&to={middle}&than_from={middle}",
    "?compare=metadata.customer&value=customer+2&than_value=customer+3",
    "/curve",
    "/curve?metadata.customer=customer+1",
)
_VIEWS = ("group_completion", "group_milestones")
_LEDGERS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Archived:
    """A month's archive, and how many groups and entries are in it."""

    file: Path
    groups: int
    entries: int


@dataclass(frozen=True, slots=True)
class ArchiveCircle:
    """Months of ledgers in a database. `run` runs a command of the program in `folder` and returns its
    output, or fails."""

    engine: Engine
    folder: Path
    run: Callable[..., str]
    months: int
    timed: Timed

    def fill(self, groups: int) -> int:
        """Write ledgers; return the number of entries."""
        count = 0
        with self.timed("record"):
            ledgers = months_of_ledgers(1, groups, self.months)
            while batch := list(islice(ledgers, _LEDGERS_AT_ONCE)):
                write(self.engine, batch)
                count += sum(len(ledger.entries) for ledger in batch)
        return count

    def go(self, after_month: Callable[[Archived], object]) -> list[Archived]:
        """Archive each month, prove it, restore all, and check that nothing at all has changed."""
        with self.timed("export and statistics"):
            self.run("export", "--out", "before.ndjson")
            self.run("checkpoint", "--out", "heads.ndjson")
            statistics = self.statistics()
        archived = []
        for one in self._archive_months():
            after_month(one)
            archived.append(one)
            with self.timed("statistics"):
                assert self.statistics() == statistics
        self._restore(archived)
        with self.timed("export and statistics"):
            self.run("export", "--out", "after.ndjson")
            assert self.statistics() == statistics
        assert self._bytes("before.ndjson") == self._bytes("after.ndjson")
        assert "intact" in self.run("verify", "--checkpoint", "heads.ndjson")
        self.run("db", "check")
        return archived

    def _archive_months(self) -> Iterator[Archived]:
        for number in range(1, self.months + 1):
            before, name = month(number), f"{month(number - 1):%Y-%m}.ndjson.zst"
            with self.timed("archive"):
                told = json.loads(
                    self.run("archive", "--before", format_time(before), "--out", name, "--json")
                )
            if told["file"] is not None:
                assert told["archive_sha256"] in self._bytes(f"{name}.sha256").decode()
                with self.timed("verify"):
                    proven = self.run("verify", "--checkpoint", "heads.ndjson", "--archive", name)
                assert "intact" in proven
                yield Archived(self.folder / name, told["groups"], told["entries"])

    def _restore(self, archived: list[Archived]) -> None:
        for one in archived:
            with self.timed("restore"):
                told = self.run("import", "--restore", one.file.name)
            assert f" in {one.groups} group" in told, told
        with reading(self.engine) as connection:
            assert connection.scalar(text("SELECT count(*) FROM archived_groups")) == 0

    def statistics(self) -> list[Any]:
        """Return the bodies of the statistics in the API, and the rows of the views about completion."""
        middle = format_time(month(self.months // 2))
        reader = open_engine(self.engine.url, read_only=True)
        try:
            client = create_app(reader).test_client()
            found: list[Any] = []
            for path in _STATISTICS:
                response = client.get(f"/api/v1/completion{path.format(middle=middle)}")
                assert response.status_code == 200, response.get_data(as_text=True)
                found.append(response.get_data())
        finally:
            reader.dispose()
        with reading(self.engine) as connection:
            for view in _VIEWS:
                found.append(sorted(map(repr, connection.execute(text(f"SELECT * FROM {view}")))))
        return found

    def _bytes(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


def database_bytes(engine: Engine) -> int:
    """Return the size of a database, once its log is empty."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return Path(str(engine.url.database)).stat().st_size
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM")
        return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)


def make_incremental(engine: Engine) -> None:
    """Let a SQLite file shrink a little at a time."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
        driver.execute("VACUUM")
