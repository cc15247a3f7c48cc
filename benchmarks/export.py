"""Measure how fast a history is exported, and how much memory that takes.

    python benchmarks/export.py [--entries 100000 1000000]

Streams histories of these lengths as CSV and as NDJSON, each in a separate process, and prints the lines per
second and the peak memory, which should not grow with the history. The last column compares the time with
that of Python's csv module over the same view of the same file, read with sqlite3.
"""

from __future__ import annotations

import argparse
import csv
import io
import multiprocessing
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from benchmarks.databases import fill, ids_of, lengthen
from benchmarks.timing import peak_mib
from recorder.store.engine import check_url, open_engine

FORMATS = ("csv", "ndjson")
BASE_GROUPS, BASE_ENTRIES = 4, 1000


def main() -> None:
    arguments = _arguments()
    out = Console()
    table = Table(title="exporting a history, SQLite")
    for heading in ("entries", "format", "lines", "lines/s", "peak MiB", "times plain csv"):
        table.add_column(heading, justify="left" if heading == "format" else "right")
    for entries in arguments.entries:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recorder.db"
            out.print(f"making {entries:,} entries ...")
            url = f"sqlite:///{path}"
            fill(url, BASE_GROUPS * BASE_ENTRIES, BASE_GROUPS)
            name = ids_of(url)[0]
            lengthen(url, name, entries // BASE_ENTRIES - 1)
            _, plain, _ = _apart(_plainly, path, name)
            for form in FORMATS:
                lines, seconds, peak = _apart(_exported, path, f"/api/v1/groups/{name}/history?format={form}")
                figures = (f"{lines:,}", f"{lines / seconds:,.0f}", f"{peak:,.0f}")
                table.add_row(f"{entries:,}", form, *figures, f"{seconds / plain:.1f}")
    out.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how fast a history is exported.")
    parser.add_argument("--entries", type=int, nargs="+", default=[100_000, 1_000_000])
    return parser.parse_args()


def _apart(
    function: Callable[[Path, str], tuple[int, float, float]], path: Path, what: str
) -> tuple[int, float, float]:
    """Run a function in a separate process and return its result."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        lines, seconds, peak = pool.apply(function, (path, what))
        return lines, seconds, peak


def _exported(path: Path, address: str) -> tuple[int, float, float]:
    """Return the number of lines of an export, the seconds it took, and the peak memory in MiB."""
    engine = open_engine(check_url(f"sqlite:///{path}"), read_only=True)
    begun, lines = time.perf_counter(), 0
    with create_app(engine).test_client().get(address, buffered=False) as answer:
        for part in answer.iter_encoded():
            lines += part.count(b"\n")
    seconds = time.perf_counter() - begun
    engine.dispose()
    return lines, seconds, peak_mib()


def _plainly(path: Path, taskgroup_id: str) -> tuple[int, float, float]:
    """Do the same with the view's rows, unprocessed, and the csv module."""
    begun, lines = time.perf_counter(), 0
    with closing(sqlite3.connect(path)) as connection:
        question = "SELECT * FROM status_history WHERE taskgroup_id = ? ORDER BY seq"
        for row in connection.execute(question, (taskgroup_id,)):
            csv.writer(io.StringIO()).writerow(row)
            lines += 1
    return lines, time.perf_counter() - begun, peak_mib()


if __name__ == "__main__":
    main()
