"""Measure how fast histories and groups are exported, and how much memory that takes.

    python benchmarks/export.py [--entries 100000 1000000] [--groups 10000 100000]

Streams histories of these lengths, and so many groups, as CSV and as NDJSON, each in a separate process, and
prints the lines per second and the peak memory, which should not grow with the number of lines. The last two
columns compare the time with that of Python's csv module over the same view of the same file, read with
sqlite3, and with that of NDJSON.
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
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.app import create_app
from benchmarks.databases import copy_groups, fill, ids_of, lengthen
from benchmarks.timing import peak_mib
from recorder.store.engine import check_url, open_engine
from recorder.store.tables import summaries

FORMATS = ("ndjson", "csv")
BASE_GROUPS, BASE_ENTRIES = 4, 1000
SHORT_GROUPS, SHORT_ENTRIES = 1000, 5
"""The groups that are copied for the export of groups, and the length of their histories."""
HISTORY = "SELECT * FROM status_history WHERE taskgroup_id = ? ORDER BY seq"
LATEST = "SELECT * FROM latest_status"


def main() -> None:
    arguments = _arguments()
    out = Console()
    table = Table(title="exporting, SQLite")
    headings = ("export", "of", "format", "lines", "lines/s", "peak MiB", "times plain csv", "times NDJSON")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in {"export", "format"} else "right")
    for entries in arguments.entries:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recorder.db"
            out.print(f"making {entries:,} entries ...")
            url = f"sqlite:///{path}"
            fill(url, BASE_GROUPS * BASE_ENTRIES, BASE_GROUPS)
            name = ids_of(url)[0]
            lengthen(url, name, entries // BASE_ENTRIES - 1)
            for figures in _compared(path, f"/api/v1/groups/{name}/history", HISTORY, (name,)):
                table.add_row("history", f"{entries:,}", *figures)
    for groups in arguments.groups:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recorder.db"
            out.print(f"making {groups:,} groups ...")
            url = f"sqlite:///{path}"
            fill(url, SHORT_GROUPS * SHORT_ENTRIES, SHORT_GROUPS)
            copy_groups(url, range(groups // SHORT_GROUPS - 1), more=[summaries])
            for figures in _compared(path, "/api/v1/groups", LATEST, ()):
                table.add_row("groups", f"{groups:,}", *figures)
    out.print(table)


def _compared(path: Path, address: str, question: str, values: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the last six columns of the table for each format."""
    _, plain, _ = _apart(_plainly, path, question, values)
    ndjson = None
    for form in FORMATS:
        lines, seconds, peak = _apart(_exported, path, f"{address}?format={form}")
        ndjson = ndjson or seconds
        figures = (f"{lines:,}", f"{lines / seconds:,.0f}", f"{peak:,.0f}")
        yield form, *figures, f"{seconds / plain:.1f}", f"{seconds / ndjson:.2f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how fast histories and groups are exported.")
    parser.add_argument("--entries", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--groups", type=int, nargs="*", default=[10_000, 100_000])
    return parser.parse_args()


def _apart(
    function: Callable[..., tuple[int, float, float]], path: Path, *arguments: object
) -> tuple[int, float, float]:
    """Run a function in a separate process and return its result."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        lines, seconds, peak = pool.apply(function, (path, *arguments))
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


def _plainly(path: Path, question: str, values: tuple[str, ...]) -> tuple[int, float, float]:
    """Do the same with the view's rows, unprocessed, and the csv module."""
    begun, lines = time.perf_counter(), 0
    with closing(sqlite3.connect(path)) as connection:
        for row in connection.execute(question, values):
            csv.writer(io.StringIO()).writerow(row)
            lines += 1
    return lines, time.perf_counter() - begun, peak_mib()


if __name__ == "__main__":
    main()
