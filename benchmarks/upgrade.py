"""Measure how long an upgrade from the first release's schema takes, and how long it keeps others waiting.

    python benchmarks/upgrade.py [--doublings 10] [--sqlite-only]

Fills a SQLite file, and a database of a private PostgreSQL server, with groups of 10 entries, brings the
schema down to revision 0002, and upgrades it. Meanwhile one thread reads a group, and another writes to a
watch, each 20 times a second: the longest that either waited is what a recorder or the API would notice. The
times of deriving are also given in times of deriving the first groups one by one, each in its transaction.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.databases import databases, double_groups, fill
from benchmarks.timing import peak_mib
from recorder.store.engine import check_url, open_engine
from recorder.store.migrate import downgrade, upgrade_schema
from recorder.store.rebuilding import rebuild_groups, rebuild_left
from recorder.store.transactions import reading, writing

OLD = "0002"
FIRST_GROUPS, ENTRIES = 100, 10
_SINGLE = 200
_READ = text("SELECT * FROM latest_status WHERE taskgroup_id = :one")
_WRITE = text("UPDATE watches SET owner = owner WHERE taskgroup_id = :one")


def main() -> None:
    arguments = _arguments()
    out = Console(width=140)
    groups = FIRST_GROUPS * 2**arguments.doublings
    table = Table(title=f"{OLD} to head, {groups:,} groups of {ENTRIES} entries")
    table.add_column("database")
    for heading in ("schema", "read waited", "derived", "groups/s", "to one by one", "write waited", "MiB"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for name, url in databases(folder, sqlite_only=arguments.sqlite_only):
            out.print(f"filling {name} ...")
            _fill_old(url, arguments.doublings)
            table.add_row(name, *_upgraded(url, groups))
    out.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how long an upgrade takes.")
    parser.add_argument("--doublings", type=int, default=10, help="how often to double the first 100 groups")
    parser.add_argument("--folder", help="where to put the files (default: the system's)")
    parser.add_argument("--sqlite-only", action="store_true")
    return parser.parse_args()


def _fill_old(url: str, doublings: int) -> None:
    # Older schemas know no gaps of newer causes, and no notes.
    fill(url, FIRST_GROUPS * ENTRIES, FIRST_GROUPS, trouble=0)
    double_groups(url, doublings)
    engine = open_engine(check_url(url))
    downgrade(engine, OLD, discard_ledger=False)
    engine.dispose()


def _upgraded(url: str, groups: int) -> list[str]:
    engine = open_engine(check_url(url))
    with reading(engine) as connection:
        ids = connection.scalars(text("SELECT taskgroup_id FROM watches ORDER BY 1")).all()
    with _waiting(_reader(url, ids[0])) as read_waits:
        begun = time.perf_counter()
        upgrade_schema(engine)
        schema = time.perf_counter() - begun
    begun = time.perf_counter()
    for one in islice(ids, _SINGLE):
        list(rebuild_groups(engine, [one]))
    single = (time.perf_counter() - begun) / _SINGLE
    begun = time.perf_counter()
    with _waiting(_writer(engine, ids[0])) as write_waits:
        for _ in rebuild_left(engine):
            pass
    derived = time.perf_counter() - begun
    engine.dispose()
    rate = (groups - _SINGLE) / derived
    return [
        f"{schema:.1f} s",
        f"{max(read_waits):.1f} s",
        f"{derived:.0f} s",
        f"{rate:,.0f}",
        f"{1 / (rate * single):.2f}",
        f"{max(write_waits):.1f} s",
        f"{peak_mib():.0f}",
    ]


@contextmanager
def _waiting(step: Callable[[], None]) -> Iterator[list[float]]:
    """Repeat a step in a thread while the block runs; yield how long each one took."""
    ended = threading.Event()
    took = [0.0]

    def repeat() -> None:
        while not ended.wait(0.05):
            begun = time.perf_counter()
            step()
            took.append(time.perf_counter() - begun)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def _reader(url: str, taskgroup_id: str) -> Callable[[], None]:
    engine = open_engine(check_url(url), read_only=True)

    def read() -> None:
        with reading(engine) as connection:
            connection.execute(_READ, {"one": taskgroup_id}).all()

    return read


def _writer(engine: Engine, taskgroup_id: str) -> Callable[[], None]:
    def write() -> None:
        with writing(engine) as connection:
            connection.execute(_WRITE, {"one": taskgroup_id})

    return write


if __name__ == "__main__":
    main()
