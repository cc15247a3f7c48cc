"""Measure how fast ledgers are verified.

    python benchmarks/verify.py [--entries 200000] [--groups 1000] [--jobs 1] [--sqlite-only]

Fills a SQLite file, and a database of a private PostgreSQL server, with ledgers as recording writes them, and
verifies all of them in a separate process. The last column compares the time with that of chaining the same
records, ready in memory, with SHA-256 and orjson: it depends less on the machine than entries per second.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.databases import databases
from benchmarks.timing import peak_mib
from recorder.audit.verify.runner import verify, verify_at_once
from recorder.audit.verify.tasks import tasks_of
from recorder.ledger.chain import GENESIS, record_of
from recorder.store.engine import check_url, open_engine
from recorder.store.history import read_entries
from recorder.store.migrate import upgrade
from recorder.store.transactions import reading
from tests.support.audit_ledgers import random_ledgers, write

ODDITY, TROUBLE = 0.002, 0.02
"""How often a body is unusual, and how often there is no response."""
BASELINE_ENTRIES = 20_000
_GROUPS_AT_ONCE = 20


def main() -> None:
    arguments = _arguments()
    out = Console()
    table = Table(title=f"recorder verify, {arguments.jobs} at once")
    for heading in (
        "database",
        "entries",
        "entries/s",
        "per core second",
        "peak MiB",
        "times plain chaining",
    ):
        table.add_column(heading, justify="left" if heading == "database" else "right")
    with tempfile.TemporaryDirectory() as folder:
        for name, url in databases(folder, sqlite_only=arguments.sqlite_only):
            out.print(f"filling {name} ...")
            _fill(url, arguments.entries, arguments.groups)
            baseline = _baseline(url)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                # A separate process, so that its peak memory is that of the verification alone. With more
                # jobs it runs here, since `Pool` processes may not have children.
                measured = pool.apply(_verified, (url,)) if arguments.jobs == 1 else None
            entries, seconds, cpu, peak = measured or _verified(url, arguments.jobs)
            table.add_row(
                name,
                f"{entries:,}",
                f"{entries / seconds:,.0f}",
                f"{entries / cpu:,.0f}",
                f"{peak:,.0f}",
                f"{seconds / entries / baseline:.1f}",
            )
    out.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how fast ledgers are verified.")
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--sqlite-only", action="store_true")
    return parser.parse_args()


def _fill(url: str, entries: int, groups: int) -> None:
    engine = open_engine(check_url(url))
    upgrade(engine)
    made = random_ledgers(1, groups, entries // groups, oddity=ODDITY, trouble=TROUBLE)
    while batch := list(islice(made, _GROUPS_AT_ONCE)):
        write(engine, batch)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def _verified(url: str, jobs: int = 1) -> tuple[int, float, float, float]:
    """Return the number of verified entries, the seconds and core seconds it took, and the peak memory of
    this process in MiB."""
    engine = open_engine(check_url(url), read_only=True)
    begun, cpu_begun = time.perf_counter(), _cpu_seconds()
    tasks = tasks_of(engine)
    pieces = verify(engine, tasks) if jobs == 1 else verify_at_once(check_url(url), tasks, jobs)
    entries = 0
    for piece in pieces:
        if piece.findings:
            raise SystemExit(str(piece.findings[0]))
        entries += piece.entries
    seconds, cpu = time.perf_counter() - begun, _cpu_seconds() - cpu_begun
    engine.dispose()
    return entries, seconds, cpu, peak_mib()


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _baseline(url: str) -> float:
    """Return the seconds that plain chaining takes for one entry."""
    records = _records(url)
    begun = time.perf_counter()
    digest = bytes.fromhex(GENESIS)
    for record in records:
        digest = sha256(digest + orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).digest()
    return (time.perf_counter() - begun) / len(records)


def _records(url: str) -> list[dict[str, Any]]:
    engine = open_engine(check_url(url), read_only=True)
    records: list[dict[str, Any]] = []
    with reading(engine) as connection:
        ids = connection.exec_driver_sql("SELECT taskgroup_id FROM watches ORDER BY taskgroup_id").scalars()
        for taskgroup_id in ids.all():
            for entry in read_entries(connection, taskgroup_id):
                content = {"previous": entry.previous, "content": entry.content}
                records.append(
                    record_of(taskgroup_id=taskgroup_id, seq=entry.seq, at=entry.at, **content)  # type: ignore[arg-type]
                )
            if len(records) > BASELINE_ENTRIES:
                break
    engine.dispose()
    return records


if __name__ == "__main__":
    main()
